"""Translation of the AMQP client's errors into `BrokerError`s; no other module translates them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from aiormq import exceptions as amqp
from pamqp.exceptions import PAMQPException
from yarl import URL

from shared.contract.topology import store_exchange_name
from shared.errors import BrokerError, BrokerUnavailable, Forbidden, Undeliverable
from shared.settings import tls

RPC_TIMEOUT_S = 10.0
"""The time for one request; a healthy broker answers in milliseconds."""

FOREIGN = (
    amqp.AMQPError,
    PAMQPException,
    OSError,  # sockets, TLS, TimeoutError and every loss of a connection
    EOFError,  # a connection that ends in the middle of a frame
    RuntimeError,  # a closed channel or connection
    ValueError,  # a name or number that the protocol can't carry
)
"""Every error that aio-pika, aiormq and pamqp raise, except `CancelledError`."""

_DIFFERENCE = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)'"
    r".*: received (?P<wanted>.+) but current is (?P<found>.+)"
)


_NOT_YET_SERVING = re.compile(
    r"is down|inaccessible|has crashed|stopped by supervisor|tim(?:eout|ed out)|unavailable"
)
"""The broker's words for a queue that exists but cannot be used at the moment."""


@contextmanager
def cancellable() -> Iterator[None]:
    """Raise a cancellation of this job even if a reply or an error arrives at the same moment.

    Before Python 3.12, `asyncio.wait_for`, which aio-pika and aiormq use, loses it in that case.
    """
    job = asyncio.current_task()
    before = job.cancelling() if job else 0
    try:
        yield
    finally:
        if job is not None and job.cancelling() > before:
            raise asyncio.CancelledError


class broker_request:  # noqa: N801 - a context, and a class since each task enters several
    """Limit the time of a request to the broker, and translate its errors to `BrokerError`s.

    Every request runs inside this context. `doing` completes "the broker refused to …". When a
    connection ends, aiormq raises `CancelledError` in the jobs that wait for it: that becomes
    `BrokerUnavailable`, while a cancellation of this job is raised as it is.
    """

    def __init__(self, doing: str, timeout_s: float | None = RPC_TIMEOUT_S) -> None:
        self._doing = doing
        self._timeout = asyncio.timeout(timeout_s)

    async def __aenter__(self) -> None:
        job = asyncio.current_task()
        self._cancelled_before = job.cancelling() if job else 0
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            error = late
        job = asyncio.current_task()
        if job is not None and job.cancelling() > self._cancelled_before:
            raise asyncio.CancelledError
        if isinstance(error, FOREIGN):
            raise broker_error(error, self._doing) from error
        if isinstance(error, asyncio.CancelledError) and job is not None and not job.cancelling():
            raise _lost(self._doing) from error


def broker_error(error: BaseException, doing: str) -> BrokerError:
    """The `BrokerError` for an error of the AMQP client; `doing` becomes a part of its text."""
    match error:
        case TimeoutError():
            return BrokerUnavailable(f"the broker did not answer in time to {doing}; try again")
        case amqp.PublishError():
            return Undeliverable(f"the broker has no queue for it: could not {doing}")
        case amqp.DeliveryError():
            return BrokerError(f"the broker would not {doing}: the queue is full; try again later")
        case amqp.ChannelAccessRefused():
            return Forbidden(f"the broker's user may not {doing}: grant it the permission")
        case amqp.ChannelPreconditionFailed() if match := _DIFFERENCE.search(str(error)):
            return BrokerError(_difference(**match.groupdict()))
        case amqp.ChannelLockedResource():
            return BrokerUnavailable(
                f"the broker could not {doing} yet: another connection still has it to itself"
            )
        case amqp.ChannelClosed() if _NOT_YET_SERVING.search(str(error)):
            return BrokerUnavailable(f"the broker could not {doing} yet: {error}")
        case OSError() | EOFError() | RuntimeError() | amqp.ProtocolSyntaxError():
            return _lost(doing)
        case PAMQPException():
            return _lost(doing)
        case amqp.ChannelClosed() if not any(error.args):
            return _lost(doing)
        case _:
            return BrokerError(f"the broker refused to {doing}: {error}")


def user_in(url: URL) -> str:
    """The user in the broker's address (`guest` without one); empty for a login by certificate."""
    by_password = url.query.get("auth", "plain").lower() == "plain"
    return (url.user or "guest") if by_password else ""


def connection_error(error: BaseException, url: URL) -> BrokerError:
    """The error for a connection that could not be opened; its text never has the password."""
    where = f"{url.host}:{url.port}"
    user = user_in(url)
    text = str(error)
    if isinstance(error, amqp.ProbableAuthenticationError | amqp.AuthenticationError):
        return BrokerError(
            f"the broker at {where} refused the user '{user}': "
            "correct the user or password in RABBITMQ_URL"
        )
    if isinstance(error, amqp.InvalidFrameError) and "Connection.OpenOk" in text:
        # aiormq drops the broker's reason; at this point of the handshake it concerns the vhost.
        vhost = url.path.removeprefix("/") or "/"
        return BrokerError(
            f"the broker at {where} has no vhost '{vhost}' for the user '{user}': correct the end "
            "of RABBITMQ_URL, or use 'rabbitmqctl add_vhost' and 'rabbitmqctl set_permissions'; "
            "or this user has as many connections as its limit allows"
        )
    if distrust := tls.refused(error):
        return BrokerError(
            f"no trust between here and the broker at {where} ({distrust}): correct cafile, "
            "certfile and keyfile in RABBITMQ_URL, its host name, or the broker's certificate"
        )
    reason = "no answer in time" if isinstance(error, TimeoutError) else text or repr(error)
    return BrokerUnavailable(
        f"no broker can be reached at {where} ({reason}): start one or correct RABBITMQ_URL"
    )


def _lost(doing: str) -> BrokerUnavailable:
    return BrokerUnavailable(f"the connection to the broker was lost; could not {doing}; try again")


def _difference(argument: str, kind: str, name: str, wanted: str, found: str) -> str:
    prefix = store_exchange_name("")
    if name.startswith(prefix):
        return (
            f"another replica of '{name.removeprefix(prefix)}' runs with another store: give all "
            "replicas the same HUTCH_STORE, or this one another vhost in RABBITMQ_URL"
        )
    return (
        f"the {kind} '{name}' exists with another '{argument}' (here {wanted}, there {found}): "
        "delete it on the broker, or use another vhost in RABBITMQ_URL"
    )
