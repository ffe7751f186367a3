"""The modules of users' tools: files that are loaded by their path.

A tool's file can import installed packages and, by its name, any other file in the folder of tools.
An installed package or a module of Python's own that has the same name as such a file is imported
instead of it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from shared.definitions.results import first_line
from shared.definitions.syntax import module_tree
from shared.errors import SettingsError
from shared.validation import near

MOST_KNOWN = 10
"""The most functions of a file that an error names."""


def tool_module(tools: Path, file_name: str, function: str) -> ModuleType:
    """The module of a file in the folder of tools: the one that `import` gives to other tools.

    If `import` finds another module by the file's name, the file's own gets a name that no package
    has. Raises `SettingsError` if it can't be imported.
    """
    file = tools / file_name
    if not file.is_file():
        raise SettingsError(f"{file}: there is no such file to load '{function}' from")
    if (path := str(tools.resolve())) not in sys.path:
        sys.path.append(path)  # last: a tool's file replaces no package, ours least of all
    try:
        return _imported(file, Path(file_name))
    except BaseException as error:
        fault = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, SyntaxError) and error.filename:
            place = error.filename.replace(str(tools.resolve()), str(tools))
            fault = f"{place}:{error.lineno}: SyntaxError: {error.msg}"
        raise SettingsError(f"{file}: importing it for '{function}' failed: {fault}") from error


def known_functions(module: ModuleType, name: str) -> str:
    """The end of the sentence about an unknown function: those that the file defines."""
    found = [
        known
        for known, it in vars(module).items()
        if inspect.isfunction(it) and it.__module__ == module.__name__ and known[0] != "_"
    ]
    return f"; known: {', '.join(found[:MOST_KNOWN]) or 'none'}{near(name, found)}"


def import_for_types(module: ModuleType) -> None:
    """Add the names to a module that it imports only for type checkers; it keeps its own.

    A name that can't be imported, such as one that only stubs have, stays unknown.
    """
    with suppress(OSError, TypeError, SyntaxError):  # a module without a source
        names = dict(vars(module))
        for statement in _for_type_checkers(module_tree(inspect.getsource(module))):
            with suppress(Exception):  # each import can fail by itself
                code = compile(ast.Module([statement], []), str(module.__file__), "exec")
                exec(code, names)  # the user's own statement, which type checkers read
        for name, value in names.items():
            vars(module).setdefault(name, value)


def _for_type_checkers(tree: ast.Module) -> Iterator[ast.stmt]:
    for it in ast.walk(tree):
        if isinstance(it, ast.If) and ast.unparse(it.test).rpartition(".")[2] == "TYPE_CHECKING":
            yield from it.body


def _imported(file: Path, relative: Path) -> ModuleType:
    name = ".".join(relative.with_suffix("").parts)
    if _found(name) == file.resolve():
        return importlib.import_module(name)
    name = f"_hutch_tool_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _found(name: str) -> Path | None:
    """The file that `import` finds by this name."""
    if not name.replace(".", "").isidentifier():
        return None
    with suppress(ImportError, ValueError):  # a parent that is no package; a module without a spec
        spec = importlib.util.find_spec(name)
        return Path(spec.origin).resolve() if spec and spec.origin else None
    return None
