"""Dead letters: messages that could not be processed, with the reason and their origin.

Agents write most of them and put both into headers. A message that the broker has dead-lettered
carries the broker's own header (`x-death`). Any other client may publish to the queue without
either header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.broker.consumer import Delivery
from shared.broker.publisher import Outgoing
from shared.contract.dead_letters import Kept
from shared.contract.topology import (
    DEAD,
    DELIVERY_LIMIT,
    TASKS,
    UNROUTED_QUEUE,
    mailbox_name,
    swarm_queue_name,
)
from shared.errors import HutchError

PREFIX = "dead."
"""The prefix of the `message_id` of our own dead letters; the rest is the dead letter's id."""

MOST_REASON_BYTES = 600
MOST_FACT_BYTES = 255
"""All headers and properties of a message share one AMQP frame, whose limit can be as low as 4096
bytes. A reason is a sentence. A fact is a name or an id, which AMQP limits to 255 bytes too."""

BROKERS_REASONS = {
    "delivery_limit": (
        f"it was delivered more than {DELIVERY_LIMIT} times without an ack: processes died on it, "
        "or lost their connections (its delivery limit)"
    ),
    "expired": "it waited too long (expired)",
    "maxlen": "its queue was full (maxlen)",
    "rejected": "a consumer rejected it (rejected)",
}


GIVEN_UP = "the broker gave it up: "


@dataclass(frozen=True)
class Fault:
    """Why a message was given up; `at` is the time, None if it is not known."""

    reason: str
    at: datetime | None = None


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter. `queue`, `routing_key` and `message_id` are the original message's.

    `attempts` counts the processes that failed on it, None if it is not known. With a `run_id`, the
    message had become a run, which was given up in `epoch`.
    """

    id: str
    first: Fault
    last: Fault
    queue: str
    routing_key: str
    message_id: str
    sender: str
    attempts: int | None
    instance: str
    run_id: str
    epoch: int
    reply_to: str | None
    correlation_id: str | None
    content_type: str | None
    body: bytes

    @property
    def agent(self) -> str:
        """The name of the agent that the message was addressed to; the agent may not exist."""
        for prefix in (mailbox_name(""), swarm_queue_name("")):
            if self.queue.startswith(prefix):
                return self.queue.removeprefix(prefix)
        return self.routing_key

    @property
    def by_broker(self) -> bool:
        """Whether the broker dead-lettered it, not an agent. An agent may have claimed the message
        nevertheless, without the broker having received the ack."""
        return self.last.reason.startswith(GIVEN_UP)

    def original(self) -> Outgoing:
        """The original message, addressed to its original queue; its id is the same at each call.

        Its headers record the first failure, for a new dead letter if it fails again. Raises
        `HutchError` when the dead letter does not say which queue the message came from.
        """
        exchange, key = self._source()
        return Outgoing(
            exchange=exchange,
            routing_key=key,
            body=self.body,
            message_id=self.message_id or f"replay.{self.id}",
            correlation_id=self.correlation_id,
            reply_to=self.reply_to,
            headers=_first(self.first),
            content_type=self.content_type or "",
        )

    def _source(self) -> tuple[str, str]:
        """Exchange and routing key. A message from a mailbox, or from `unrouted`, is published to
        the agent's name. A broadcast that one member could not process goes to its queue alone."""
        if self.queue in {mailbox_name(self.agent), UNROUTED_QUEUE}:
            return TASKS, self.agent
        if self.queue:
            return "", self.queue
        raise HutchError(
            f"letter {self.id} doesn't say where it came from: it can only be dropped, with "
            f"'hutch dead drop {self.id}'"
        )


def headers(
    reason: str, earlier: Mapping[str, object] | None = None, **facts: str | int
) -> dict[str, str | int]:
    """The headers of a new dead letter. The names of `facts` are fields of `DeadLetter`; `earlier`
    are the headers of the message, which record the first failure if it was replayed.

    They always fit into the smallest frame, together with the message's properties: longer text
    is cut and marked as cut.
    """
    fault = Fault(cut(reason, MOST_REASON_BYTES), datetime.now(UTC))
    first = _fault(earlier or {}, "first-") or fault
    bounded = {
        _name(key): cut(value, MOST_FACT_BYTES) if isinstance(value, str) else value
        for key, value in facts.items()
    }
    return bounded | _first(first) | {_name("reason"): fault.reason, _name("at"): _time_text(fault)}


def cut(text: str, most_bytes: int) -> str:
    """The text, cut to `most_bytes` of UTF-8; the end of a cut text states its full length."""
    whole = text.encode("utf-8", "replace")  # the text of an error can hold a lone surrogate
    if len(whole) <= most_bytes:
        return whole.decode()
    mark = f"… (cut, it had {len(whole)} bytes)"
    return whole[: most_bytes - len(mark.encode())].decode("utf-8", "ignore") + mark


def kept(dead_letter: Outgoing) -> Kept:
    """A dead letter in the form in which the store keeps it when the broker does not accept it."""
    properties = {
        "headers": dict(dead_letter.headers),
        "reply_to": dead_letter.reply_to,
        "correlation_id": dead_letter.correlation_id,
        "content_type": dead_letter.content_type,
    }
    return Kept(dead_letter.message_id, dead_letter.routing_key, dead_letter.body, properties)


def from_store(it: Kept) -> DeadLetter:
    """A dead letter that the store has kept. Never raises: unreadable properties are left out."""

    def text(name: str) -> str | None:
        value = it.properties.get(name)
        return value if isinstance(value, str) else None

    given = it.properties.get("headers")
    headers = given.items() if isinstance(given, dict) else ()
    published = Outgoing(
        exchange=DEAD,
        routing_key=it.routing_key,
        body=it.body,
        message_id=it.id,
        correlation_id=text("correlation_id"),
        reply_to=text("reply_to"),
        headers={name: value for name, value in headers if isinstance(value, str | int)},
        content_type=text("content_type") or "",
    )
    return read(published)


def read(delivery: Delivery | Outgoing) -> DeadLetter:
    """Any message of the dead-letter queue as a dead letter. Never raises."""
    given, death = delivery.headers, _death(delivery.headers)
    given_up = Fault(_brokers_reason(death), _time(death.get("time")))
    last = _fault(given) or given_up
    user = (delivery.user_id or delivery.app_id) if isinstance(delivery, Delivery) else None
    return DeadLetter(
        id=_id(delivery),
        first=_fault(given, "first-") or last,
        last=last,
        queue=_text(given, "queue") or cut(str(death.get("queue") or ""), MOST_FACT_BYTES),
        routing_key=_text(given, "routing_key") or _routing_key(death),
        message_id=_text(given, "message_id") or _brokers_id(delivery),
        sender=_text(given, "sender") or user or "",
        attempts=_number(given, "attempts"),
        instance=_text(given, "instance"),
        run_id=_text(given, "run_id"),
        epoch=_number(given, "epoch") or 0,
        reply_to=delivery.reply_to,
        correlation_id=delivery.correlation_id,
        content_type=delivery.content_type,
        body=delivery.body,
    )


def _id(delivery: Delivery | Outgoing) -> str:
    """The id in our own message id; for other messages, a hash of the parts that never change."""
    given = delivery.message_id or ""
    if given.startswith(PREFIX):
        return given.removeprefix(PREFIX)
    parts = (given, delivery.correlation_id, _death(delivery.headers), delivery.body)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _brokers_id(delivery: Delivery | Outgoing) -> str:
    given = delivery.message_id or ""
    return "" if given.startswith(PREFIX) else given


def _death(headers: Mapping[str, object]) -> Mapping[str, object]:
    """The newest entry of the broker's header `x-death`; empty if there is none."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    return {}


def _brokers_reason(death: Mapping[str, object]) -> str:
    why = str(death.get("reason") or "")
    if not why:
        return "nothing says why: no agent and no broker put it there"
    return cut(GIVEN_UP + BROKERS_REASONS.get(why, why), MOST_REASON_BYTES)


def _routing_key(death: Mapping[str, object]) -> str:
    keys = death.get("routing-keys")
    return cut(str(keys[0]), MOST_FACT_BYTES) if isinstance(keys, list) and keys else ""


def _first(fault: Fault) -> dict[str, str | int]:
    return {_name("first-reason"): fault.reason, _name("first-at"): _time_text(fault)}


def _fault(headers: Mapping[str, object], which: str = "") -> Fault | None:
    reason = _text(headers, f"{which}reason", MOST_REASON_BYTES)
    return Fault(reason, _time(_text(headers, f"{which}at"))) if reason else None


def _name(field: str) -> str:
    return f"x-hutch-{field.replace('_', '-')}"


def _text(headers: Mapping[str, object], field: str, most_bytes: int = MOST_FACT_BYTES) -> str:
    """A header's text, cut on reading as well: any client can publish such headers."""
    value = headers.get(_name(field))
    return cut(value, most_bytes) if isinstance(value, str) else ""


def _number(headers: Mapping[str, object], field: str) -> int | None:
    value = headers.get(_name(field))
    return value if isinstance(value, int) else None


def _time_text(fault: Fault) -> str:
    return fault.at.isoformat(timespec="seconds") if fault.at else ""


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
    return _time(parsed) if parsed else None
