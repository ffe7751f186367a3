"""The variables of the gateway, and of a command line that uses one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from shared.settings.environment import Environment
from shared.settings.secrets import current_secret, secret

_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}")


def _secrets(given: SecretStr) -> SecretStr:
    if not all(_SECRET.fullmatch(it) for it in given.get_secret_value().split()):
        raise ValueError("write whsec_ and 24 to 64 bytes in base64")
    return given


def _names(given: object) -> object:
    """The names in a text that separates them by commas."""
    return (
        [it.strip() for it in given.split(",") if it.strip()] if isinstance(given, str) else given
    )


class GatewaySettings(Environment):
    """Where the gateway listens, and how it sends webhooks."""

    host: str = Field(
        default="127.0.0.1",
        validation_alias="HUTCH_GATEWAY_HOST",
        description="address that the gateway listens on",
    )
    port: int = Field(
        default=8765,
        ge=0,
        le=65535,
        validation_alias="HUTCH_GATEWAY_PORT",
        description="its port; 0: any free one, named in the log",
    )
    open: bool = Field(
        default=False,
        validation_alias="HUTCH_GATEWAY_OPEN",
        description="`1`: no key is needed until the first one is made, whatever the address; only "
        "where no other machine reaches the port, as when a container's port is published on "
        "127.0.0.1",
    )
    webhook_secret: Annotated[SecretStr, AfterValidator(_secrets)] | None = Field(
        default=None,
        validation_alias="HUTCH_WEBHOOK_SECRET",
        description="the secret that signs webhooks, `whsec_` and 24 to 64 bytes in base64; while "
        "it is replaced, the new and the old one with a space between them",
    )
    webhook_secret_file: Path | None = Field(
        default=None,
        validation_alias="HUTCH_WEBHOOK_SECRET_FILE",
        description="a file with this secret instead; read again at each webhook",
    )
    webhook_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = Field(
        default=(),
        validation_alias="HUTCH_WEBHOOK_HOSTS",
        description="hosts in private networks that webhooks may reach, with commas between them; "
        "public hosts are always reached",
    )

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `SettingsError`, also for a secret's file that can't be read."""
        secret("HUTCH_WEBHOOK_SECRET")
        return super().from_environment()

    def webhook_secrets(self) -> list[str]:
        """The secrets that sign webhooks as they are now; empty: webhooks are off.

        Raises `SettingsError` if the secret's file can't be read.
        """
        found = current_secret(
            self.webhook_secret, "HUTCH_WEBHOOK_SECRET", self.webhook_secret_file
        )
        return found.get_secret_value().split() if found else []


class RemoteSettings(Environment):
    """The gateway that commands use in place of a broker and a store; read by
    `shared.settings.gateway_address`."""

    gateway: str | None = Field(
        default=None,
        validation_alias="HUTCH_GATEWAY",
        description="address of a gateway, like `https://host`: commands are executed there",
    )
    gateway_key: SecretStr | None = Field(
        default=None,
        validation_alias="HUTCH_GATEWAY_KEY",
        description="the key that 'hutch keys add' has made for it",
    )
    gateway_key_file: Path | None = Field(
        default=None,
        validation_alias="HUTCH_GATEWAY_KEY_FILE",
        description="a file with this key instead",
    )
