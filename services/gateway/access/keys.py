"""The keys of the store, cached for a moment, and whether one is needed."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Mapping

from shared.errors import StoreUnavailable
from shared.settings.gateway import GatewaySettings
from shared.store import Store
from shared.store.processes import api_keys
from shared.store.processes.api_keys import ApiKey

CACHE_S = 2.0
"""How long keys are used without being read again: a revoked key works for this long at most."""
RECENT_S = 0.05
"""An unknown key is looked for in the store again after this time: a new key works at once."""
READ_S = 2.0
"""How long a request waits for the store before it is refused as unavailable."""


class Keys:
    def __init__(self, store: Store, settings: GatewaySettings) -> None:
        self._store = store
        self._open_at_first = settings.open or is_loopback(settings.host)
        self._known: Mapping[str, ApiKey] = {}
        self._read_at = -CACHE_S
        self._reading = asyncio.Lock()

    async def valid(self, key: str) -> ApiKey | None:
        """The key of the store that this is; None if it is unknown or revoked."""
        key_id = api_keys.key_id_of(key)
        if key_id is None:
            return None
        found = await self.active(key_id)
        hashed = api_keys.hash_of(key)
        return found if found and hmac.compare_digest(found.hash, hashed) else None

    async def active(self, key_id: str) -> ApiKey | None:
        """The key with this id, if it is not revoked."""
        await self._refresh(CACHE_S)
        if key_id not in self._known:
            await self._refresh(RECENT_S)
        found = self._known.get(key_id)
        return found if found and found.revoked_at is None else None

    async def still_active(self, key: ApiKey) -> bool:
        """Whether a key that was valid still is: a store that is away has revoked none."""
        if not self._store.available:
            return True
        try:
            return await self.active(key.key_id) is not None
        except StoreUnavailable:
            return True

    async def needed(self) -> bool:
        """Whether a request needs a key.

        On a loopback address, or with `HUTCH_GATEWAY_OPEN`, none is needed until the first one is
        made. A revoked key counts: the gateway does not open again when the last key is revoked.
        """
        if not self._open_at_first:
            return True
        await self._refresh(CACHE_S)
        return bool(self._known)

    async def has_active(self) -> bool:
        """Whether there is a key that is not revoked."""
        await self._refresh(CACHE_S)
        return any(key.revoked_at is None for key in self._known.values())

    async def _refresh(self, most_s: float) -> None:
        """Read the keys, unless they were read within `most_s`. Raises `StoreUnavailable`."""
        if time.monotonic() - self._read_at < most_s:
            return
        try:
            async with asyncio.timeout(READ_S), self._reading:
                began = time.monotonic()
                if began - self._read_at >= most_s:
                    found = await self._store.read(api_keys.every)
                    self._known = {key.key_id: key for key in found}
                    self._read_at = began
        except TimeoutError as error:
            raise StoreUnavailable("the store can't be read now") from error


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
