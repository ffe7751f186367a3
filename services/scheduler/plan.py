"""The outcome of each nominal time of a schedule that has come: sent, skipped or missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex

from shared.contract.messages import Trigger, encode
from shared.contract.topology import SCHEDULER
from shared.definitions.model import Definitions
from shared.definitions.schedules.schedule import Schedule
from shared.definitions.schedules.times import following, newest
from shared.store.messages.ticks import ScheduleState, Tick, TickOutcome

PUNCTUAL = timedelta(seconds=60)
"""A tick is not missed before this: a restart, or a store that is briefly away, takes less."""

MOST_MADE_UP = 100
"""The most ticks that `missed: all` sends at once; older ones are missed."""

SECRET_BYTES = 8
"""Random bytes in a tick's message id: too many to guess, and an id has room for them."""


@dataclass(frozen=True)
class Scheduled:
    """A schedule and the agent that it wakes."""

    agent: str
    schedule: Schedule

    @property
    def key(self) -> str:
        return f"{self.agent}.{self.schedule.name}"

    def coming(self, after: datetime) -> Iterator[datetime]:
        """The nominal times later than `after`, in order."""
        return following(self.schedule, after)

    def choose(self, state: ScheduleState) -> Sequence[Tick]:
        """A decision on each nominal time since the last one decided, oldest first.

        At most `MOST_MADE_UP` + 1; older times are missed and get no row.
        """
        come = newest(self.schedule, state.last, state.now, MOST_MADE_UP + 1)
        wanted = self._wanted(come, state.now)
        # More than one is sent only where all are asked for: those never skip each other.
        skip = self.schedule.overlap == "skip" and state.busy and len(wanted) == 1
        outcome = TickOutcome.SKIPPED if skip else TickOutcome.SENDING
        return [self._tick(at, outcome if at in wanted else TickOutcome.MISSED) for at in come]

    def _wanted(self, come: Sequence[datetime], now: datetime) -> Sequence[datetime]:
        if self.schedule.missed == "all":
            return come[-MOST_MADE_UP:]
        made_up = self.schedule.missed == "last"
        return [at for at in come[-1:] if made_up or now - at <= PUNCTUAL]

    def _tick(self, nominal_at: datetime, outcome: TickOutcome) -> Tick:
        tick_id = f"{self.key}@{nominal_at:%Y-%m-%dT%H:%M:%SZ}"
        if outcome is not TickOutcome.SENDING:
            return Tick(tick_id, self.agent, self.schedule.name, nominal_at, outcome)
        message_id = f"{tick_id}.{token_hex(SECRET_BYTES)}"
        trigger = Trigger(
            id=message_id,
            root_id=message_id,
            content=self.schedule.prompt,
            schedule=self.schedule.name,
            nominal_at=nominal_at,
            sender=SCHEDULER,
        )
        message = encode(trigger).decode()
        return Tick(
            tick_id, self.agent, self.schedule.name, nominal_at, outcome, message, message_id
        )


def scheduled(definitions: Definitions) -> tuple[Scheduled, ...]:
    """Every schedule of every agent."""
    return tuple(
        Scheduled(definition.name, schedule)
        for definition in definitions.values()
        for schedule in definition.schedule
    )
