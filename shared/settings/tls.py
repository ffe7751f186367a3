"""What the broker and the store share of TLS: files that an address names, and why it failed.

Both take TLS from their address: `amqps://…?cafile=…` and `postgresql://…?sslmode=…`. Their
clients read the files at each connection, so a certificate is renewed without a restart.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from shared.errors import SettingsError

_PASSING = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The other side hung up: it may only be coming up or going down."""


def check_files(variable: str, query: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Raises `SettingsError` for a file of the address that can't be read: OpenSSL names none."""
    for name in names:
        path = query.get(name)
        if path is not None and not os.access(path, os.R_OK):
            raise SettingsError(f"{variable} names a {name} that can't be read: '{path}'")


def refused(error: BaseException) -> str:
    """Why one side would not trust the other; empty when trying again can help, or it isn't TLS."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLError) and not isinstance(found, _PASSING):
            # Both are there only where OpenSSL itself objects.
            said = getattr(found, "verify_message", "") or getattr(found, "reason", "")
            return str(said or found).rstrip(".").replace("_", " ").lower()
        found = found.__cause__
    return ""
