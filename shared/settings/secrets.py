"""Secrets, from variables or from the files that variables name; files are read at each use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.errors import SettingsError

Address = str | Callable[[], str]
"""A URL with its password, or a function that returns it, called at each connection."""


def current(address: Address) -> str:
    """The URL to connect to now."""
    return address if isinstance(address, str) else address()


def secret(name: str) -> SecretStr | None:
    """The secret in the variable `name`, or in the file that `<name>_FILE` names, as it is now.

    An agent's file names such a variable (`api_key_env`). Raises `SettingsError` if both are set,
    or if the file can't be read or is empty.
    """
    value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value and file:
        raise SettingsError(f"{name} and {name}_FILE are both set: unset one of them")
    return current_secret(SecretStr(value) if value else None, name, Path(file) if file else None)


def current_secret(value: SecretStr | None, name: str, file: Path | None) -> SecretStr | None:
    """The secret, given in the variable `name` or in a file, as it is now; None: not given.

    Raises `SettingsError` if the file can't be read or is empty.
    """
    if file is None:
        return value and SecretStr(value.get_secret_value().strip())
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{name}_FILE names a file that can't be read: '{file}'") from error
    if not text:
        raise SettingsError(f"{name}_FILE names an empty file: '{file}'")
    return SecretStr(text)


def shown_url(url: str) -> str:
    """The address without its password and its parameters, which can hold one too."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    place = f"{name}@{host}" if name else host
    return f"{parts.scheme}://{place}{parts.path}"
