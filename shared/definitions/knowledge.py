"""Knowledge in an agent's file, and the names of the tools that Hutch itself has."""

from __future__ import annotations

from collections.abc import Sized
from typing import Annotated, Protocol

from pydantic import BeforeValidator, Field, model_validator

from shared.contract.messages import Frozen
from shared.definitions.models.base_url import BaseUrl

SEARCH_KNOWLEDGE = "search_knowledge"
REMEMBER, RECALL, FORGET = "remember", "recall", "forget"
READ_SKILL = "read_skill"
FIND_TOOLS = "find_tools"
OWN = frozenset({SEARCH_KNOWLEDGE, REMEMBER, RECALL, FORGET, READ_SKILL, FIND_TOOLS})
"""The names of all of Hutch's own tools."""

MOST_OFFERED = 20
"""An agent with more tools and workers is offered some of them: models choose worse among many."""


class Embeddings(Frozen):
    """The model with which an agent's documents are also searched by meaning."""

    name: str = Field(min_length=1, max_length=200, description="name of an embedding model")
    base_url: BaseUrl | None = Field(
        default=None,
        description="address of its endpoint, like `https://host/v1`; absent: that of `model`",
    )
    api_key_env: str | None = Field(
        default=None,
        description="name of the variable that holds the key of `base_url`",
    )

    @model_validator(mode="after")
    def _key_with_its_endpoint(self) -> Embeddings:
        if self.api_key_env and not self.base_url:
            raise ValueError("'api_key_env' needs 'base_url'; without them, those of 'model' apply")
        return self


def _embeddings_by_name(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict | Embeddings | None):
        return value
    raise ValueError("write an embedding model's name in quotes, or keys such as {name: …}")


class Knowledge(Frozen):
    """The documents of an agent."""

    paths: tuple[str, ...] = Field(
        min_length=1,
        description="files and folders with text, Markdown, HTML and PDF, beside the agent's file",
    )
    in_prompt: bool = Field(
        default=False,
        description="whether each run's prompt gets the passages that fit its task best",
    )
    embeddings: Annotated[
        Embeddings | None,
        BeforeValidator(_embeddings_by_name, json_schema_input_type=str | Embeddings),
    ] = Field(
        default=None,
        exclude_if=lambda embeddings: embeddings is None,  # earlier versions don't know the field
        description="name of an embedding model, or its options, to search by meaning as well as "
        "by words",
    )


def knowledge_by_paths(value: object) -> object:
    """Takes a list of paths for knowledge with no other options."""
    if isinstance(value, list | tuple):
        return {"paths": value}
    if isinstance(value, dict | Knowledge | None):
        return value
    raise ValueError("write a list of folders, such as [docs/]")


class _Keys(Protocol):
    @property
    def knowledge(self) -> Knowledge | None: ...
    @property
    def memory(self) -> bool: ...
    @property
    def skills(self) -> tuple[str, ...]: ...
    @property
    def tools(self) -> Sized: ...
    @property
    def workers(self) -> Sized: ...
    @property
    def mcp(self) -> Sized: ...


def built_in(definition: _Keys) -> set[str]:
    """The names of Hutch's own tools that an agent has, or may have: how many tools its MCP servers
    have is not known here."""
    names = {SEARCH_KNOWLEDGE} if definition.knowledge else set()
    names |= {REMEMBER, RECALL, FORGET} if definition.memory else set()
    names |= {READ_SKILL} if definition.skills else set()
    many = len(definition.tools) + len(definition.workers) > MOST_OFFERED
    return names | ({FIND_TOOLS} if many or definition.mcp else set())
