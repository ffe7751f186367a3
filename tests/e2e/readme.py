"""The commands and files of README.md, read from README.md itself, so that the tests run them."""

from __future__ import annotations

import re
import shlex
from textwrap import dedent

from tests.support.repository import REPOSITORY

TEXT = (REPOSITORY / "README.md").read_text("utf-8")

_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def block(language: str, containing: str, text: str = TEXT) -> str:
    """The one code block in this language with that text in it."""
    found = [dedent(code) for kind, code in _BLOCK.findall(text) if kind == language]
    [only] = [code for code in found if containing in code]
    return only


def commands(containing: str, text: str = TEXT) -> list[list[str]]:
    """The shell block's commands as arguments, without its comments."""
    shown = block("sh", containing, text).splitlines()
    lines = [shlex.split(line, comments=True) for line in shown]
    return [line for line in lines if line]
