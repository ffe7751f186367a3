"""TLS of the broker and the store: the files that an address names, and the reason of a failure.

Their addresses set TLS: `amqps://…?cafile=…` and `postgresql://…?sslmode=…`. The clients read the
files at each connection, so a certificate can be renewed without a restart.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from shared.errors import SettingsError

_PASSING = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The other side closed the connection: it may be starting or ending."""


def check_files(variable: str, query: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Raises `SettingsError` for a file that the address names and that can't be read.

    OpenSSL's own error would not name the file.
    """
    for name in names:
        path = query.get(name)
        if path is not None and not os.access(path, os.R_OK):
            raise SettingsError(f"{variable} names a {name} that can't be read: '{path}'")


def refused(error: BaseException) -> str:
    """Why TLS failed; empty if it is no TLS error, or one that can pass when it is tried again."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLError) and not isinstance(found, _PASSING):
            # Only errors of OpenSSL itself have these.
            reason = getattr(found, "verify_message", "") or getattr(found, "reason", "")
            return str(reason or found).rstrip(".").replace("_", " ").lower()
        found = found.__cause__
    return ""
