"""The folder `.hutch` of a system on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from services.cli.doctor.finding import Area, Finding, advice, fault
from services.cli.machine.home import HOME, broker_url, is_locked
from shared.settings.environment import Settings


def home_findings(settings: Settings) -> Iterator[Finding]:
    """Differences between the broker that `.hutch` names and the one that commands use."""
    recorded = broker_url(HOME)
    if recorded is None:
        return
    if not is_locked(HOME):
        yield fault(
            Area.HOME,
            f"'{HOME / 'broker'}' names a broker, but no 'hutch up' runs here: it was killed",
            f"start 'hutch up' again, or delete '{HOME / 'broker'}'",
        )
    elif settings.given_broker() not in {None, recorded}:
        yield advice(
            Area.HOME,
            "'hutch up' runs here with a broker of its own, but commands use RABBITMQ_URL",
            "unset RABBITMQ_URL to use the agents of this folder",
        )
