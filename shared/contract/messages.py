"""The message contract: what travels between processes, in any language.

JSON bodies, UTF-8, at most `MAX_BODY_BYTES`. The models here are the single source;
`docs/messages.md` and the JSON Schema are generated from them. `reply_to` and
`correlation_id` are AMQP properties, never part of a body.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
)
from pydantic_core import from_json

from shared.contract.priority import Priority
from shared.contract.times import Time
from shared.errors import BadMessage
from shared.validation import Wanted, first_fault, shown

MAX_BODY_BYTES = 1024 * 1024
"""A larger body is refused unread. Big data travels by reference, not by message."""

COUNT_MOST = 2**53 - 1
"""The largest count: the largest integer that every JSON reader keeps exact."""

COST_MOST = 1e9
COST_DIGITS = 9
"""Costs are in USD, with so many decimals: sums stay short, and the price of no token is lost."""

HOPS_MOST = 1000
"""The longest chain of broadcasts; a swarm stops long before (`services/agent/intake/swarm.py`)."""

LABEL_CHARS = 128
"""The longest name of a sender, a schedule or a model."""

SCHEMA_VERSION = 1
AGENT_NAME = r"^[a-z][a-z0-9-]{0,39}$"
"""An agent's name is a routing key, a tool name, a DNS label and a compose service at once."""

AgentName = Annotated[
    str,
    Field(pattern=AGENT_NAME),
    Wanted("a name such as bob or bob-2: up to 40 small letters, digits and hyphens"),
]
Id = Annotated[
    str,
    Field(pattern=r"^[!-~]{1,128}$", description="printable ASCII, no spaces"),
    Wanted("1 to 128 printable ASCII characters without spaces"),
]
Content = Annotated[str, Field(min_length=1)]
Label = Annotated[str, Field(max_length=LABEL_CHARS)]
Count = Annotated[int, Field(ge=0, le=COUNT_MOST)]
Cost = Annotated[float, Field(ge=0, le=COST_MOST)]
_Whole = Annotated[int, Field(ge=-COUNT_MOST, le=COUNT_MOST)]
_Real = Annotated[float, Field(ge=-COUNT_MOST, le=COUNT_MOST)]
NotBefore = Annotated[Time | None, Field(description="it starts no earlier; at most 30 days ahead")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _is_zero(count: int) -> bool:
    """Such a count is not sent: readers of an earlier version know no such field."""
    return count == 0


def _is_none(value: object) -> bool:
    return value is None


class Usage(Frozen):
    """The model calls and tokens that were used, those of the whole subtree of workers included."""

    model_calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_tokens: Count = Field(
        default=0, exclude_if=_is_zero, description="of the input, read from the endpoint's cache"
    )
    reasoning_tokens: Count = Field(
        default=0, exclude_if=_is_zero, description="of the output, for reasoning"
    )
    cost: Cost | None = Field(
        default=None, exclude_if=_is_none, description="in USD; only under a budget with a `cost`"
    )

    @property
    def tokens(self) -> int:
        return _sum(self.input_tokens, self.output_tokens)

    def __add__(self, other: Usage) -> Usage:
        """The sum of each count, at most `COUNT_MOST`, and of the costs, at most `COST_MOST`."""
        return Usage(
            model_calls=_sum(self.model_calls, other.model_calls),
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            cached_tokens=_sum(self.cached_tokens, other.cached_tokens),
            reasoning_tokens=_sum(self.reasoning_tokens, other.reasoning_tokens),
            cost=_sum_of_costs(self.cost, other.cost),
        )


def _sum_of_costs(one: float | None, other: float | None) -> float | None:
    """None only if both are; then no cost budget is in force."""
    if one is None or other is None:
        return other if one is None else one
    return min(round(one + other, COST_DIGITS), COST_MOST)


def _sum(one: int, other: int) -> int:
    return min(one + other, COUNT_MOST)


class Budget(Frozen):
    """What is left for a message and all that it causes; absent: no limit."""

    model_calls: Count | None = None
    tokens: Count | None = Field(default=None, description="input and output together")
    cost: Cost | None = Field(default=None, exclude_if=_is_none, description="in USD")

    def overshot(self, usage: Usage) -> bool:
        """Whether the usage exceeds a limit of this budget."""
        limits = (
            (self.model_calls, usage.model_calls),
            (self.tokens, usage.tokens),
            (self.cost, usage.cost or 0.0),
        )
        return any(limit is not None and spent > limit for limit, spent in limits)


class Lineage(Frozen):
    """The origin of a message, which a run passes on, one step deeper, to those that it causes."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: Id | None = Field(default=None, description="idempotency key; absent: chosen at the claim")
    root_id: Id | None = Field(default=None, description="id of the first message of the tree")
    parent_id: Id | None = Field(default=None, description="id of the task that caused this one")
    path: tuple[AgentName, ...] = Field(
        default=(), max_length=64, description="agents visited before"
    )
    hops: int = Field(
        default=0,
        ge=0,
        le=HOPS_MOST,
        description="broadcasts between the root and this message",
    )
    deadline: Time | None = Field(default=None, description="after it, the answer is `timeout`")
    budget: Budget | None = Field(
        default=None,
        description="`{model_calls, tokens, cost}` left; with nothing left it does not run",
    )
    session: Id | None = Field(default=None, description="id of its conversation")
    traceparent: (
        Annotated[
            str,
            Field(pattern=r"^[0-9a-f-]{55}$"),
            Wanted("a W3C traceparent: 55 hexadecimal digits and hyphens"),
        ]
        | None
    ) = None
    sender: Label | None = Field(default=None, description="who sent it; see docs/security.md")
    sent_at: Time | None = None


class Task(Lineage):
    """A request to one agent. It is answered by exactly one response."""

    type: Literal["task"] = "task"
    content: Content
    context: str | None = Field(default=None, description="further information for the agent")
    stream: bool = Field(
        default=False,
        exclude_if=_is_zero,
        description="whether its run's text is published to `hutch.stream` as it comes",
    )
    not_before: NotBefore = None
    priority: Priority = Field(
        default=Priority.INTERACTIVE,
        exclude_if=lambda it: it is Priority.INTERACTIVE,
        description="`background` tasks let interactive ones go first",
    )

    @property
    def prompt(self) -> str:
        """The text for the model: content and context."""
        return self.content + (f"\n\nContext:\n{self.context}" if self.context else "")


class Trigger(Lineage):
    """Starts a run of an agent. The response is stored, and sent only if there is a `reply_to`."""

    type: Literal["trigger"] = "trigger"
    content: str = ""
    schedule: Label | None = Field(default=None, description="the schedule that fired")
    nominal_at: Time | None = Field(default=None, description="the time at which it was due")
    not_before: NotBefore = None
    priority: Priority = Field(
        default=Priority.BACKGROUND,
        exclude_if=lambda it: it is Priority.BACKGROUND,
        description="`background` triggers let interactive tasks go first",
    )

    @property
    def prompt(self) -> str:
        return self.content.strip()


class Status(StrEnum):
    """How a run ended."""

    OK = "ok"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


ANSWERED = (Status.OK, Status.PARTIAL)
"""The statuses of a response that answers what was asked."""


class Response(Lineage):
    """The one answer to a task. Copies of it can arrive; they have the same id."""

    type: Literal["response"] = "response"
    task_id: Id
    agent: Annotated[
        str,
        Field(
            pattern=r"^([a-z][a-z0-9-]{0,39})?$",
            description="the agent that answers; empty: no agent has that name",
        ),
        Wanted("an agent's name, or empty text"),
    ]
    status: Status
    content: str = Field(description="the answer; safe to show to a model or a person")
    usage: Usage = Usage()
    model: Label | None = Field(
        default=None, description="the model's name, as its endpoint gives it"
    )
    data: JsonValue = Field(
        default=None, description="the content as JSON, if the agent's answers have a schema"
    )


ShutdownMode = Literal["drain", "stop"]


class Shutdown(Lineage):
    """Ends processes: `drain` lets runs finish, `stop` hands them over. Sent to `hutch.control`."""

    type: Literal["shutdown"] = "shutdown"
    mode: ShutdownMode = "drain"


class Cancel(Lineage):
    """Ends a task and all that it has caused. Sent to `hutch.control`, with the agent's key."""

    type: Literal["cancel"] = "cancel"
    task_id: Id


class Event(Frozen):
    """A report of something that happened: ids, names, times and counts, never texts."""

    type: Literal["event"] = "event"
    name: Label
    at: Time
    agent: Label
    instance: Label
    run_id: Label | None = None
    task_id: Label | None = None
    root_id: Label | None = None
    parent_id: Label | None = None
    detail: dict[str, str | _Whole | _Real] = {}


AnyMessage = Task | Response | Trigger | Shutdown | Cancel
_KINDS = {str(it.model_fields["type"].default): it for it in get_args(AnyMessage)}


def decode(body: bytes, content_type: str | None = None) -> AnyMessage:
    """The message in a body. Plain text is a task, and so is an object without `type`.

    Raises `BadMessage` with one sentence for any other body, and no other error.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadMessage(f"the body has {len(body)} bytes; at most {MAX_BODY_BYTES} are taken")
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in {"", "application/json", "text/plain", "application/octet-stream"}:
        raise BadMessage(
            f"content type '{shown(kind)}' is unknown; send application/json or text/plain"
        )
    try:
        text = body.decode("utf-8-sig")  # some clients begin with a byte order mark
    except UnicodeDecodeError as error:
        raise BadMessage(f"the body is not UTF-8: byte {error.start} can't be decoded") from error
    if kind == "text/plain" or (kind != "application/json" and not text.lstrip().startswith("{")):
        return _validated({"type": "task", "content": text.strip()})
    try:
        fields = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise BadMessage(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadMessage(f"the body is JSON but a {type(fields).__name__}, not an object")
    return _validated({"type": "task", **fields})


def _validated(fields: dict[str, Any]) -> AnyMessage:
    name = str(fields["type"])
    if name not in _KINDS:
        raise BadMessage(f"type: '{shown(name)}' is unknown; known: {', '.join(_KINDS)}")
    kind: type[AnyMessage] = _KINDS[name]
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise BadMessage(f"{name}.{first_fault(error, kind)}") from error


def encode(message: Frozen) -> bytes:
    """The body of a message: compact JSON without the fields that are None."""
    return message.model_dump_json(exclude_none=True, by_alias=True).encode()


def run_id(agent: str, task_id: str) -> str:
    """The id of the one run of a task at an agent. Every process derives the same id."""
    return hashlib.sha256(f"{agent}\0{task_id}".encode()).hexdigest()[:32]


def response_id(run: str, epoch: int = 1) -> str:
    """The id of a run's one response, which all its copies have.

    A run that an operator has replayed has another response, in its next epoch.
    """
    return f"{run}.response" if epoch == 1 else f"{run}.{epoch}.response"
