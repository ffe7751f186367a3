"""Finding the key that a request is made with."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from starlette.requests import Request

from services.gateway.access import cookie
from services.gateway.access.keys import Keys
from services.gateway.access.origin import check_host, check_origin
from services.gateway.problems import Problem
from shared.store.processes.api_keys import PREFIX, ApiKey

log = structlog.get_logger()


async def key_of(keys: Keys, request: Request) -> ApiKey | None:
    """The key of a request; None where it has none and needs none.

    A key in the header goes before the cookie. Raises 401 without a valid key where one is needed,
    and 403 for a request that another site's page has caused.
    """
    given = request.headers.getlist("authorization")
    needed = await keys.needed()
    # A client library always sends some key: where none is needed, only one of ours is checked.
    if given and (needed or PREFIX in given[0]):
        return await _key_in(keys, given)
    value = request.cookies.get(cookie.NAME)
    if value and (key := await cookie.key_of(keys, value)):
        check_origin(request, browser=True)
        return key
    if needed:
        raise refused("a key is needed: 'hutch keys add NAME' makes one")
    check_host(request)
    check_origin(request, browser=False)
    return None


async def _key_in(keys: Keys, headers: list[str]) -> ApiKey:
    scheme, _, text = headers[0].strip().partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer":
        raise refused("send the key in one header: 'Authorization: Bearer hk_…'")
    key = await keys.valid(text.strip())
    if key is None:
        raise unknown_key()
    return key


def unknown_key() -> Problem:
    return refused("this key is unknown or revoked")


def refused(sentence: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, sentence, {"WWW-Authenticate": "Bearer"})


async def announce(keys: Keys) -> None:
    """Log once, at the start, where no key is needed and where there is none."""
    if not await keys.needed():
        log.warning("no key is needed: every program that reaches the gateway may do everything")
    elif not await keys.has_active():
        log.warning("every request is refused until 'hutch keys add NAME' makes a key")
