"""The two priorities of tasks and triggers."""

from enum import StrEnum


class Priority(StrEnum):
    """Interactive runs go before background ones, which still advance: see docs/semantics.md."""

    INTERACTIVE = "interactive"
    """A person or a program waits for it: the default of tasks."""
    BACKGROUND = "background"
    """The default of triggers, so also of schedules and ticks."""

    @property
    def amqp(self) -> int | None:
        """The AMQP property of messages with this priority.

        From RabbitMQ 4.0 on, a quorum queue delivers two messages above 4 for each other one, and
        one without a priority is below. Earlier versions ignore it.
        """
        return 5 if self is Priority.INTERACTIVE else None


BACKGROUND_WAIT_S = 300.0
"""How long background work lets interactive work go first. After it, it goes by its age, so that it
advances however much comes in."""
