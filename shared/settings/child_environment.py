"""The environment of a process that an agent starts."""

from __future__ import annotations

import os
from collections.abc import Iterable

from shared.errors import SettingsError
from shared.settings.secrets import secret

_INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
)
"""Variables that say where things are. None of them holds a credential; a proxy's address may."""


def child_environment(names: Iterable[str]) -> dict[str, str]:
    """A few inherited variables that hold no credentials, and the variables `names`, each also from
    the file that `<name>_FILE` names. Raises `SettingsError` if one is not set."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {name: required_secret(name) for name in names}


def required_secret(name: str) -> str:
    """The secret in a variable, or in the file that `<name>_FILE` names, as it is now. Raises
    `SettingsError` if there is none."""
    if (value := secret(name)) is None:
        raise SettingsError(f"neither {name} nor {name}_FILE is set")
    return value.get_secret_value()
