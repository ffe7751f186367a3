"""Guardrails in an agent's file: checks of its tasks and answers, and closed tools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from shared.contract.messages import Frozen, Usage
from shared.definitions.tools.choice import Reference

CHECK_FORM = "FILE.py:FUNCTION, such as checks.py:polite, or {model: NAME, check: TEXT}"
MOST_CHECKS = 16
NOTES, SESSION = "notes", "session"
"""The sources of data that are no calls: the notes of peers, and a session's earlier exchanges."""


def _is_absent(value: object) -> bool:
    return value in (None, (), "")


class Check(Frozen, title="Check"):
    """A check of a text: a function, or a model with a rule."""

    function: Reference | None = Field(
        default=None,
        exclude_if=_is_absent,
        description="`FILE.py:FUNCTION`, with the file in `tools/` beside the agents' files",
    )
    model: str | None = Field(
        default=None,
        exclude_if=_is_absent,
        min_length=1,
        description="name of a model at the agent's endpoint, a small one",
    )
    check: str | None = Field(
        default=None,
        exclude_if=_is_absent,
        min_length=1,
        description="the rule by which the model checks a text",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Check:
        by_model = self.model is not None and self.check is not None
        by_function = self.function is not None and self.model is None and self.check is None
        if not by_function and (self.function is not None or not by_model):
            raise ValueError(f"write {CHECK_FORM}")
        return self

    @property
    def label(self) -> str:
        """The check's name for the operator."""
        return self.function or f"the check by {self.model}"


def _check_by_function(value: object) -> object:
    if isinstance(value, str):
        return {"function": value}
    if isinstance(value, dict | Check):
        return value
    raise ValueError(f"write {CHECK_FORM}")


Checks = Annotated[
    tuple[
        Annotated[
            Check, BeforeValidator(_check_by_function, json_schema_input_type=Reference | Check)
        ],
        ...,
    ],
    Field(max_length=MOST_CHECKS),
]


class AfterUntrusted(Frozen, title="AfterUntrusted"):
    """The tools that are closed once untrusted data has come into a run's conversation."""

    deny: tuple[str, ...] = Field(
        min_length=1, description="tools and workers that the run can't call any more"
    )
    trust: tuple[str, ...] = Field(
        default=(),
        exclude_if=_is_absent,
        description="tools and workers whose results close nothing; also `notes` (of peers) and "
        "`session` (its earlier exchanges)",
    )


class Guardrails(Frozen, title="Guardrails"):
    """The checks of an agent's tasks and answers, in their order."""

    input: Checks = Field(
        default=(),
        exclude_if=_is_absent,
        description="checks of each task, before its first model call",
    )
    output: Checks = Field(
        default=(), exclude_if=_is_absent, description="checks of each answer, before it is sent"
    )
    after_untrusted: AfterUntrusted | None = Field(
        default=None,
        exclude_if=_is_absent,
        description="tools that are closed after data from outside",
    )

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks."""
        return (*self.input, *self.output)


class Verdict(Frozen):
    """A check's result, and the recorded output of its step."""

    outcome: Literal["passed", "changed", "refused", "failed"]
    text: str | None = None
    """The text that takes the place of the checked one."""
    reason: str | None = None
    """Why a text is refused, for its requester."""
    detail: str | None = None
    """For the operator only."""
    usage: Usage = Usage()
    model: str | None = None

    def output(self) -> str:
        return self.model_dump_json(exclude_none=True)


def unknown_name(
    rule: AfterUntrusted, callable_names: set[str], prefixes: tuple[str, ...] = ()
) -> str | None:
    """The fault of a rule that names something that the agent doesn't have. The names of tools of
    MCP servers begin with their servers' `prefixes`; more of them is not known."""
    for key, names, known in (
        ("deny", rule.deny, callable_names),
        ("trust", rule.trust, callable_names | {NOTES, SESSION}),
    ):
        for name in names:
            if name not in known and not name.startswith(prefixes):
                listed = ", ".join(sorted(known)) or "none"
                return f"after_untrusted.{key}: no tool or worker '{name}'; known: {listed}"
    return None
