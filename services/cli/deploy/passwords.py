"""The users' passwords: one file per user, with the user's address for `RABBITMQ_URL_FILE`."""

from __future__ import annotations

import hashlib
import os
import secrets
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from shared.errors import SettingsError

PASSWORD_BYTES = 32
SALT_BYTES = 4
"""The length that RabbitMQ uses."""


def kept(folder: Path, users: Iterable[str], url: str) -> dict[str, str]:
    """The users' passwords, from their files; a missing file is created with a new password.

    New files have the host, port, vhost and query of `url`. Raises `SettingsError` for a file that
    has other content or can't be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {user: _password(folder / user, user, url) for user in users}
    except OSError as error:
        raise SettingsError(f"can't write to '{error.filename}': {error.strerror}") from error


def hashed(user: str, password: str) -> str:
    """The hash of `rabbit_password_hashing_sha256`, with a salt derived from user and password.

    So the same password always has the same hash. Random passwords need no random salt.
    """
    salt = hashlib.sha256(f"{user}\0{password}".encode()).digest()[:SALT_BYTES]
    return b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _password(file: Path, user: str, url: str) -> str:
    if not file.exists():
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2]
        address = urlunsplit(parts._replace(netloc=f"{user}:{password}@{where}"))
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(f"{address}\n")
        return password
    try:
        found = urlsplit(file.read_text("utf-8").strip())
    except ValueError:  # the error's text could show a password
        found = urlsplit("")
    if unquote(found.username or "") != user or not found.password:
        raise SettingsError(
            f"'{file}' holds no address with the user '{user}' and a password: "
            "delete it, and a new one is made"
        )
    return unquote(found.password)
