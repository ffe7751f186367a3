"""A broker on this machine: found, started or installed, and ended afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread

from services.cli.machine import rabbitmq_container
from services.cli.machine.home import locked, recorded
from services.cli.machine.rabbitmq_container import RabbitContainer
from services.cli.machine.rabbitmq_node import RabbitNode
from services.cli.machine.rabbitmq_package import DEBIAN, RabbitPackage
from shared.errors import BrokerError
from shared.process.orphans import orphan_cleanup
from shared.telemetry.logs import masked_text

WATCH_S = 2.0

Say = Callable[[str], None]
Ask = Callable[[str], bool]
"""Asks the question whether the distribution's package may be installed."""

WAYS = (
    "no broker can be started here: set RABBITMQ_URL (amqp://user:password@host:5672/), start "
    "docker or podman, or install rabbitmq-server"
)
INSTALLING = "installing the distribution's rabbitmq-server with apt-get, without its service"


@contextmanager
def local_broker(
    given: str | None,
    home: Path,
    say: Say,
    ask: Ask,
    *,
    keep: bool = True,
    package: RabbitPackage = DEBIAN,
) -> Iterator[str]:
    """The URL of a broker. A broker that was started here is ended with the context.

    These are tried in order, and `say` gets a line for each: the URL that is `given`; a container
    engine; an installed rabbitmq-server; the distribution's package, if `ask` agrees. With `keep`,
    the next start in the same `home` has the messages of this one. While the context lasts,
    with `keep`, a broker that was started here and is stopped from elsewhere is started again, and
    `home.broker_url` returns the URL of a broker that was started here. Raises `BrokerError`, which
    says what to do, if none of them works.
    """
    if given:
        say(f"broker: {masked_text(given)}, from RABBITMQ_URL")
        yield given
        return
    home.mkdir(parents=True, exist_ok=True)
    with locked(home):
        broker = _started(home, say, ask, package, keep=keep)
        with orphan_cleanup(broker.ending), recorded(home, broker.url):
            try:
                with _watched(broker, say) if keep else nullcontext():
                    yield broker.url
            finally:
                say("broker: ending it")
                broker.stop()


@contextmanager
def _watched(broker: RabbitContainer | RabbitNode, say: Say) -> Iterator[None]:
    """While the context lasts, start the broker again whenever it was stopped from elsewhere."""
    ended = Event()
    watch = Thread(target=_watch, args=(broker, say, ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(broker: RabbitContainer | RabbitNode, say: Say, ended: Event) -> None:
    said = ""
    while not ended.wait(WATCH_S):
        try:
            if not broker.stopped():
                said = ""
                continue
            if not said:
                said = f"the broker of this 'hutch up' has stopped ({broker.name})"
                say(f"{said}: starting it again")
            broker.restart()
        except BrokerError as error:
            if said != str(error):
                say(f"broker: {error}; trying again")
            said = str(error)


def _started(
    home: Path, say: Say, ask: Ask, package: RabbitPackage, *, keep: bool
) -> RabbitContainer | RabbitNode:
    engine = rabbitmq_container.engine()
    if engine is None:
        say("broker: RABBITMQ_URL is not set, and no container engine answers")
    else:
        say(f"broker: RABBITMQ_URL is not set; starting {rabbitmq_container.IMAGE} with {engine}")
        try:
            container = RabbitContainer(engine, home, keep=keep)
            container.start()
        except BrokerError as error:
            say(f"broker: {error}; going on without {engine}")
        else:
            return container
    if not package.installed:
        _install(say, ask, package)
    say("broker: starting the installed rabbitmq-server as a private node")
    node = RabbitNode(home / "rabbitmq", package)
    node.start()
    return node


def _install(say: Say, ask: Ask, package: RabbitPackage) -> None:
    if not package.installable or not ask(f"broker: {INSTALLING}?"):
        raise BrokerError(WAYS)
    say(f"broker: {INSTALLING} (a minute or two)")
    package.install()
