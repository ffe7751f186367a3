"""Approval in an agent's file: which calls wait until a person has approved or denied them.

A condition is a Python expression over the call's arguments, such as `amount > 100`. simpleeval
computes it: without access to Python's functions and modules, and with limits on what it costs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from shared.contract.messages import Frozen
from shared.definitions.durations import Duration
from shared.definitions.syntax import expression_tree

if TYPE_CHECKING:
    from simpleeval import EvalWithCompoundTypes

EXPIRES = timedelta(days=7)
"""A request that waits over a weekend and a holiday is still there; after it the call is denied."""
LONGEST_CONDITION = 1000
FUNCTIONS: dict[str, Callable[..., Any]] = {"len": len, "min": min, "max": max, "abs": abs}
"""The functions that a condition can call, beside the methods of its values."""

FORM = "write always, never, or {when: …} with a condition such as amount > 100"


def _evaluator(arguments: dict[str, JsonValue]) -> EvalWithCompoundTypes:
    from simpleeval import EvalWithCompoundTypes  # few agents have a condition

    evaluator = EvalWithCompoundTypes(names=arguments)
    evaluator.functions = FUNCTIONS
    return evaluator


def _condition(text: str) -> str:
    """Raises `ValueError` for a text that can't be computed as a condition of any arguments."""
    try:
        expression = expression_tree(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"'{text}' is no condition such as amount > 100") from error
    known = _evaluator({}).nodes
    for node in ast.walk(expression):
        if isinstance(node, ast.expr) and type(node) not in known:
            raise ValueError(f"'{text}' is no condition: {type(node).__name__} is not allowed")
    if unknown := _called(expression) - FUNCTIONS.keys():
        raise ValueError(f"'{text}' is no condition: there is no function '{min(unknown)}'")
    if not _names(expression):
        raise ValueError(f"'{text}' names no argument of the call, so it is always the same")
    return text


def _called(expression: ast.AST) -> set[str]:
    calls = (it.func for it in ast.walk(expression) if isinstance(it, ast.Call))
    return {it.id for it in calls if isinstance(it, ast.Name)}


def _names(expression: ast.AST) -> set[str]:
    """The names of arguments that an expression reads."""
    names = [it for it in ast.walk(expression) if isinstance(it, ast.Name)]
    own = {it.id for it in names if isinstance(it.ctx, ast.Store)}  # of a comprehension
    return {it.id for it in names} - own - _called(expression)


class ApprovalRule(Frozen):
    """When a call needs approval, and how long it waits for a decision."""

    when: Annotated[str, AfterValidator(_condition)] | None = Field(
        default=None,
        max_length=LONGEST_CONDITION,
        exclude_if=lambda when: when is None,
        description="condition on the call's arguments, such as `amount > 100`; absent: each call",
    )
    expires: Duration = Field(
        default=EXPIRES,
        exclude_if=lambda expires: expires == EXPIRES,
        description="how long a call waits for a decision; then it is denied",
    )

    @property
    def _names(self) -> set[str]:
        return _names(expression_tree(self.when)) if self.when else set()

    def unknown(self, arguments: Collection[str]) -> str | None:
        """A sentence on a name in the condition that is none of these arguments; None: there is
        none."""
        names = sorted(self._names - set(arguments))
        if not names:
            return None
        known = f"; it has {', '.join(arguments)}" if arguments else ""
        return f"'{self.when}': the call has no argument '{names[0]}'{known}"

    def asks(self, arguments: dict[str, JsonValue], parameters: dict[str, JsonValue]) -> bool:
        """Whether a call with these arguments needs approval; `parameters` is their JSON schema.

        It does unless the condition is exactly false: also if the condition fails, as it does where
        an argument is missing, and if the arguments don't fit the schema or write a date or an id
        in an unusual way, since the tool may read them in another way than the condition does.
        """
        if self.when is None:
            return True

        from shared.definitions.output import Checker  # it imports this module

        try:
            if Checker(parameters).faults(arguments):
                return True
            if self._has_odd_spelling(arguments, parameters):
                return True
            found = _evaluator(arguments).eval(self.when, expression_tree(self.when).body)
        except Exception:  # noqa: BLE001 - any operation of the condition can fail in its own way
            return True
        return found is not False

    def _has_odd_spelling(
        self, arguments: dict[str, JsonValue], parameters: dict[str, JsonValue]
    ) -> bool:
        """Whether an argument that the condition reads has a format and not its usual spelling."""
        from shared.definitions.output import Checker

        properties = parameters.get("properties")
        known = properties if isinstance(properties, dict) else {}
        read = {name: known[name] for name in self._names & known.keys()}
        part = {**parameters, "properties": read, "required": [], "additionalProperties": True}
        return bool(Checker(part, canonical=True).faults(arguments))


def approval_by_word(value: object) -> object:
    """Takes `always` and `never` for an approval of each call, and of none."""
    if value == "always":
        return ApprovalRule()
    if value == "never":
        return None
    if isinstance(value, dict | ApprovalRule | None):
        return value
    raise ValueError(FORM)


ApprovalChoice = Annotated[
    ApprovalRule | None,
    BeforeValidator(
        approval_by_word, json_schema_input_type=Literal["always", "never"] | ApprovalRule | None
    ),
]
"""The field `approval` in an agent's file; None: no call needs approval."""
