"""The gateway that a command line uses, from the environment.

It is read before anything else, so this module imports no model of settings. The variables are
those of `RemoteSettings`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import SettingsError

ADDRESS = "HUTCH_GATEWAY"
KEY = "HUTCH_GATEWAY_KEY"
ZONES = "zoneinfo/"


@dataclass(frozen=True)
class GatewayAddress:
    url: str
    """Without a slash at its end."""
    key: str | None = field(repr=False)


def gateway_address() -> GatewayAddress | None:
    """The gateway; None if none is set. Raises `SettingsError`, naming the variable."""
    url = os.environ.get(ADDRESS, "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_address &= parts.port != 0 and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        is_address = False
    if not is_address:
        raise SettingsError(f"the variable {ADDRESS} is wrong: write https://host or http://host")
    return GatewayAddress(url.rstrip("/"), _key())


def _key() -> str | None:
    key, file = os.environ.get(KEY, "").strip(), os.environ.get(f"{KEY}_FILE", "").strip()
    if key and file:
        raise SettingsError(f"{KEY} and {KEY}_FILE are both set: unset one of them")
    if file:
        try:
            key = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"{KEY}_FILE names a file that can't be read: '{file}'") from error
        if not key:
            raise SettingsError(f"{KEY}_FILE names an empty file: '{file}'")
    if not key.isascii() or any(it.isspace() for it in key):
        raise SettingsError(f"the variable {KEY} is wrong: a key is like hk_…, without spaces")
    return key or None


@dataclass(frozen=True)
class LocalTerminal:
    """What programs on this machine know of the user's terminal."""

    term: str
    no_color: bool
    timezone: str


def local_terminal() -> LocalTerminal:
    return LocalTerminal(os.environ.get("TERM", ""), bool(os.environ.get("NO_COLOR")), _timezone())


def _timezone() -> str:
    """The name of this machine's time zone, or else its present offset as in the variable TZ."""
    given = os.environ.get("TZ", "").lstrip(":")
    if given and "," not in given and not given.startswith("/"):
        return given
    try:
        _, found, name = str(Path("/etc/localtime").readlink()).partition(ZONES)
    except OSError:
        found, name = "", ""
    if found and not given:
        return name
    minutes = time.localtime().tm_gmtoff // 60
    hours, rest = divmod(abs(minutes), 60)
    east, west = ("+", "-") if minutes >= 0 else ("-", "+")
    return f"<{east}{hours:02}>{west}{hours}" + (f":{rest:02}" if rest else "")
