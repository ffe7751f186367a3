"""The page's cookie: `<key id>.<expiry>.<signature>`, verified by any gateway without a session.

It is signed with the hash of the key, which only the store knows, so it ends with the key.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from starlette.responses import Response

from services.gateway.access.keys import Keys
from shared.store.processes.api_keys import ApiKey

NAME = "hutch"
LIFETIME_S = 12 * 3600
"""A working day: the key is then asked for again."""


def give(response: Response, key: ApiKey, *, secure: bool) -> None:
    expires = str(int(time.time()) + LIFETIME_S)
    value = f"{key.key_id}.{expires}.{_signature(key, expires)}"
    response.set_cookie(
        NAME, value, max_age=LIFETIME_S, path="/", secure=secure, httponly=True, samesite="strict"
    )


def take_away(response: Response) -> None:
    response.delete_cookie(NAME, path="/", httponly=True, samesite="strict")


async def key_of(keys: Keys, value: str) -> ApiKey | None:
    """The key with which the cookie was made; None if it is expired, revoked or forged."""
    key_id, _, rest = value.partition(".")
    expires, _, signature = rest.partition(".")
    key = await keys.active(key_id)
    if key is None or not hmac.compare_digest(
        _signature(key, expires).encode(), signature.encode()
    ):
        return None
    return key if time.time() < int(expires) else None


def _signature(key: ApiKey, expires: str) -> str:
    text = f"cookie {key.key_id} {expires}"
    return hmac.new(key.hash.encode(), text.encode(), hashlib.sha256).hexdigest()
