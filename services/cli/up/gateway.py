"""The gateway of `hutch up`: its address, and the secret of its webhooks."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.cli.machine.ports import free_port
from shared.settings.gateway import GatewaySettings

SECRET_BYTES = 32
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
"""For an address that stands for all of this machine's, one that a browser can open."""


@dataclass(frozen=True)
class LocalGateway:
    address: str
    environment: Mapping[str, str]
    """The variables of its process in addition to those of all processes."""

    @classmethod
    def prepare(cls, home: Path) -> Self:
        """A gateway on the port of the settings, or on any free one where that is taken.

        Without a secret for webhooks in the settings, it uses one that is made once in `home`.
        Raises `SettingsError`.
        """
        settings = GatewaySettings.from_environment()
        port = free_port(settings.host, settings.port)
        environment = {"HUTCH_GATEWAY_PORT": str(port)}
        if not settings.webhook_secrets() and (file := _secret_in(home)):
            environment["HUTCH_WEBHOOK_SECRET_FILE"] = str(file)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return cls(f"http://{_ANY.get(settings.host, host)}:{port}", environment)


def _secret_in(home: Path) -> Path | None:
    """The file with the secret; None in a folder that can't be written: webhooks are off then."""
    file = (home / "webhook-secret").absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "w") as made:
                made.write(f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}")
    except OSError:
        return None
    return file
