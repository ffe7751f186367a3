"""The page for operators, and the commands that it shows."""

from __future__ import annotations

import re

from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
COMMANDS = {
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
}
