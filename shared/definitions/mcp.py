"""The MCP servers of an agent, as its file names them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from shared.contract.messages import AgentName, Frozen
from shared.definitions.approval import ApprovalChoice
from shared.definitions.durations import Duration
from shared.definitions.results import MAX_RESULT_CHARS
from shared.definitions.tools.choice import LONGEST_RESULT
from shared.validation import Wanted

MOST_SERVERS = 16

_ADDRESS = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?(\?[!-~]*)?", re.IGNORECASE
)
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_Variable = Annotated[str, Field(pattern=_VARIABLE), Wanted("the name of a variable")]
_Header = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"), Wanted("the name of a header")
]
_Prefix = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9_-]{0,32}$"),
    Wanted("letters, digits, hyphens and underscores, at most 32"),
]


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"the command's quotes are wrong: {error}") from error


def _by_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _is_default(value: object) -> bool:
    """Such an option is not stored with a run."""
    return value in (None, (), {}, False, MAX_RESULT_CHARS)


class McpPrompt(Frozen, title="Prompt"):
    """A prompt of a server, with its arguments."""

    name: str
    arguments: dict[str, str] = Field(default={}, exclude_if=_is_default)


class McpServer(Frozen, title="MCP server"):
    """An MCP server, and what an agent uses of it."""

    name: AgentName = Field(
        description="lower-case letters, digits and hyphens, at most 40, a letter first"
    )
    command: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_words, json_schema_input_type=str | tuple[str, ...] | None),
    ] = Field(
        default=None,
        exclude_if=_is_default,
        min_length=1,
        description="starts the server, which then speaks on its standard input and output: a line "
        "as in a shell, or a list of words; it runs in the folder of the agents' files",
    )
    url: str | None = Field(
        default=None,
        exclude_if=_is_default,
        description="address of a server that is running (streamable HTTP)",
    )
    env: tuple[_Variable, ...] = Field(
        default=(),
        exclude_if=_is_default,
        description="names of variables that the command gets too, each from the variable or from "
        "the file that `<NAME>_FILE` names; it gets no others, except `PATH`, `HOME` and the like",
    )
    headers_env: dict[_Header, _Variable] = Field(
        default={},
        exclude_if=_is_default,
        description="headers of each request to `url`, each with the name of the variable that "
        "holds it: `{Authorization: SHOP_MCP_AUTHORIZATION}`, or the file in `<NAME>_FILE`",
    )
    allow: tuple[str, ...] = Field(
        default=("*",),
        exclude_if=lambda allow: allow == ("*",),
        description="the server's tools that the agent has; `*` stands for any characters",
    )
    deny: tuple[str, ...] = Field(
        default=(), exclude_if=_is_default, description="those that it doesn't have, of the allowed"
    )
    prefix: _Prefix | None = Field(
        default=None,
        exclude_if=_is_default,
        description="what the names of its tools begin with for the model; absent: the server's "
        "name and `_`",
    )
    prompts: tuple[
        Annotated[McpPrompt, BeforeValidator(_by_name, json_schema_input_type=str | McpPrompt)], ...
    ] = Field(
        default=(),
        exclude_if=_is_default,
        description="prompts of the server that are added to the preamble: a name, or "
        "`{name: …, arguments: {…}}`",
    )
    repeatable: bool | tuple[str, ...] = Field(
        default=False,
        exclude_if=_is_default,
        description="whether an interrupted call may be made again: of each tool, or of those with "
        "these names; `*` stands for any characters",
    )
    approval: ApprovalChoice = Field(
        default=None,
        exclude_if=_is_default,
        description="which calls of its tools a person must approve: `always`, `never`, or "
        "`{when: …}` with a condition; absent: none",
    )
    timeout: Duration = Field(default=timedelta(minutes=1), description="of one call")
    max_result: int = Field(
        default=MAX_RESULT_CHARS,
        exclude_if=_is_default,
        strict=True,
        ge=100,
        le=LONGEST_RESULT,
        description="characters of a result that the model gets; the rest is cut",
    )

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError(
                "write an address like https://host/mcp; a password belongs into headers_env"
            )
        return value

    @model_validator(mode="after")
    def _one_way(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError("write either 'command' or 'url'")
        if self.env and self.url:
            raise ValueError("'env' is for a 'command'; a 'url' has 'headers_env'")
        if self.headers_env and self.command:
            raise ValueError("'headers_env' is for a 'url'; a 'command' has 'env'")
        return self

    @property
    def variables(self) -> Sequence[str]:
        """The names of the variables that hold its credentials."""
        return [*self.env, *self.headers_env.values()]

    @property
    def tool_prefix(self) -> str:
        return f"{self.name}_" if self.prefix is None else self.prefix

    @property
    def timeout_s(self) -> float:
        return self.timeout.total_seconds()

    def has(self, tool: str) -> bool:
        """Whether the agent has the server's tool of this name."""
        return _matches(tool, self.allow) and not _matches(tool, self.deny)

    def may_repeat(self, tool: str) -> bool:
        if isinstance(self.repeatable, bool):
            return self.repeatable
        return _matches(tool, self.repeatable)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, it) for it in patterns)


def _distinct(servers: tuple[McpServer, ...]) -> tuple[McpServer, ...]:
    """Raises `ValueError` if a prefix begins another one: tools could have the same name."""
    for it in servers:
        prefix = it.tool_prefix
        if any(o.tool_prefix.startswith(prefix) for o in servers if o.name != it.name):
            raise ValueError(f"the prefix '{prefix}' begins another server's: change one of them")
    return servers


McpServers = Annotated[
    tuple[McpServer, ...], Field(max_length=MOST_SERVERS), AfterValidator(_distinct)
]
