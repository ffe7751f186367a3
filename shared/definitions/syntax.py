"""Python's own parser, for one thread at a time.

Before Python 3.11.8 the parser keeps a counter that all threads share: a text that is parsed while
another thread parses can raise `SystemError`. Both functions raise what `ast.parse` does.
"""

from __future__ import annotations

import ast
from threading import Lock

_LOCK = Lock()


def module_tree(source: str | bytes) -> ast.Module:
    """The tree of a module's source."""
    with _LOCK:
        return ast.parse(source)


def expression_tree(text: str) -> ast.Expression:
    """The tree of one expression."""
    with _LOCK:
        return ast.parse(text.strip(), mode="eval")
