"""The commands that the gateway executes for a command line without broker and store.

This module imports nothing, so that a command line that only sends its arguments starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

PATH = "/api/commands"

TERM = r"^[A-Za-z0-9._+-]{1,40}$"
TIMEZONE = r"^([A-Za-z][\w+-]*(/[\w+-]+)*|<[+-][0-9]{2,4}>[+-]?[0-9]{1,2}(:[0-9]{2})?)$"
"""The types and the time zones of terminals that the gateway accepts: a name, or an offset as in
the variable TZ; no path of a file."""

Scope = Literal["read", "run", "operate"]

SCOPES: Mapping[str, Scope] = {
    "ask": "run",
    "wait": "read",
    "send": "run",
    "trigger": "run",
    "broadcast": "run",
    "cancel": "run",
    "approvals": "read",
    "approve": "operate",
    "deny": "operate",
    "pause": "operate",
    "unpause": "operate",
    "shutdown": "operate",
    "restart": "operate",
    "scale": "operate",
    "status": "read",
    "doctor": "read",
    "logs": "read",
    "runs": "read",
    "show": "read",
    "watch": "read",
    "dead list": "read",
    "dead show": "read",
    "dead replay": "operate",
    "dead drop": "operate",
    "knowledge status": "read",
    "knowledge search": "read",
    "forget": "operate",
    "keys add": "operate",
    "keys list": "operate",
    "keys revoke": "operate",
}
"""The scope that a key needs for each of these commands."""

LOCAL = ("demo", "init", "up", "down", "mcp", "check", "topology", "k8s", "migrate")
"""Commands that work with the files and processes of the machine on which they are given, or that
come before any gateway."""

_GROUPS = frozenset(name.partition(" ")[0] for name in SCOPES if " " in name)
_WITH_TEXT = frozenset({"ask", "send", "trigger", "broadcast"})
_WITH_ID = frozenset({"ask", "send", "trigger"})
FLAGS = frozenset({"--json", "--debug"})
"""The options without a value of the commands that have a text."""


def command_of(arguments: Sequence[str]) -> str | None:
    """The name of the command, if the gateway executes it; None also for a request for help."""
    given = list(arguments)
    while given and given[0] == "--debug":
        given.pop(0)
    before_end = given[: given.index("--")] if "--" in given else given
    if not given or {"--help", "-h"} & set(before_end):
        return None
    name = " ".join(given[:2]) if given[0] in _GROUPS else given[0]
    return name if name in SCOPES else None


def text_place(arguments: Sequence[str]) -> int | None:
    """The index of the argument that is the text for an agent; None if there is none."""
    if command_of(arguments) not in _WITH_TEXT:
        return None
    places = _positional(arguments)
    return places[2] if len(places) > 2 else None


def subject_of(arguments: Sequence[str]) -> str:
    """The agent, id or name that a command is about; empty if it names none. Never a text."""
    name = command_of(arguments) or ""
    if name in _WITH_TEXT:
        places = _positional(arguments)
        return arguments[places[1]] if len(places) > 1 else ""
    rest = [it for it in arguments if it != "--debug"][len(name.split()) :]
    return rest[0] if rest and not rest[0].startswith("-") else ""


def _positional(arguments: Sequence[str]) -> list[int]:
    """The indices of the arguments that are no options, in a command with a text."""
    places: list[int] = []
    index, options = 0, True
    while index < len(arguments):
        argument = arguments[index]
        if options and argument == "--":
            options = False
        elif options and argument.startswith("-") and argument != "-":
            index += 0 if argument in FLAGS or "=" in argument else 1
        else:
            places.append(index)
        index += 1
    return places


def is_reference(text: str) -> bool:
    """Whether a text stands for the content of a file, `@FILE`, or of stdin, `-`."""
    return text == "-" or (text.startswith("@") and not text.startswith("@@"))


def with_id(arguments: Sequence[str], id: str) -> tuple[list[str], str]:
    """The arguments with this id for the message, and the message's id: an id that is given goes
    before. The id is empty for commands that send no message with one."""
    given = list(arguments)
    if command_of(given) not in _WITH_ID:
        return given, ""
    at = next(index for index, it in enumerate(given) if it in _WITH_ID) + 1
    end = given.index("--") if "--" in given else len(given)
    for index, it in enumerate(given[:end]):
        if it == "--id" and index + 1 < len(given):
            return given, given[index + 1]
        if it.startswith("--id="):
            return given, it.removeprefix("--id=")
    return [*given[:at], "--id", id, *given[at:]], id
