"""The variables of the environment. Each process reads them once, in its `__main__`.

Only `shared.settings` reads the environment.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.contract.prompts import ToolProtocol
from shared.errors import SettingsError
from shared.settings.limits import Limits
from shared.settings.mapping import given
from shared.settings.prices import Prices
from shared.settings.secrets import current_secret, secret
from shared.validation import sentence

_Line = Annotated[str, StringConstraints(strip_whitespace=True)]
"""Without the newline or space that files of variables and shells leave at the end."""
_HEADER = re.compile(r"\s*([\w!#$%&'*+.^`|~-]+\s*:[ -~\t]*)?\s*", re.ASCII)


def _headers(lines: SecretStr) -> SecretStr:
    """The headers, one a line, as the `openai` package reads them."""
    if not all(_HEADER.fullmatch(line) for line in lines.get_secret_value().split("\n")):
        raise ValueError("write lines of 'Name: value', in ASCII")
    return lines


def _header_value(value: str) -> str:
    if not _HEADER.fullmatch(f"it:{value}"):
        raise ValueError("write ASCII without a line break")
    return value


class Environment(BaseSettings):
    """A group of variables, read from the environment."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,  # compose files pass `${NAME:-}`: an empty variable is not set
    )

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `SettingsError`, naming the variable."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            fault = sentence(first, cls, verb="write")
            raise SettingsError(f"the variable {name} is wrong: {fault}") from error


class Settings(Environment):
    """Every variable that Hutch reads, with its unit and default."""

    rabbitmq_url: SecretStr | None = Field(
        default=None,
        validation_alias="RABBITMQ_URL",
        description="address of the broker: `amqp://user:password@host:5672/vhost`",
    )
    rabbitmq_url_file: Path | None = Field(
        default=None,
        validation_alias="RABBITMQ_URL_FILE",
        description="a file with this address instead; read again at each connection",
    )
    store_url: SecretStr = Field(
        default=SecretStr("sqlite:///.hutch/hutch.db"),
        validation_alias="HUTCH_STORE",
        description="address of the store: `sqlite:///path` for one machine, "
        "`postgresql://user:password@host/db` for more",
    )
    store_url_file: Path | None = Field(
        default=None,
        validation_alias="HUTCH_STORE_FILE",
        description="a file with this address instead; read again at each connection",
    )
    agents: Path = Field(
        default=Path("agents"),
        validation_alias="HUTCH_AGENTS",
        description="folder of agents' files",
    )
    model: _Line | None = Field(
        default=None,
        validation_alias="OPENAI_MODEL",
        description="name of the model, for agents whose file names none",
    )
    base_url: _Line | None = Field(
        default=None,
        validation_alias="OPENAI_BASE_URL",
        description="address of its endpoint, like `https://host/v1`; not set: OpenAI's",
    )
    api_key: SecretStr | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY",
        description="key of its endpoint, which no other endpoint gets",
    )
    api_key_file: Path | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY_FILE",
        description="a file with this key instead; read again at each model call",
    )
    custom_headers: Annotated[SecretStr, AfterValidator(_headers)] | None = Field(
        default=None,
        validation_alias="OPENAI_CUSTOM_HEADERS",
        description="lines of `Name: value`, sent only to the endpoint that gets `OPENAI_API_KEY`",
    )
    organization: Annotated[str, AfterValidator(_header_value)] | None = Field(
        default=None,
        validation_alias="OPENAI_ORG_ID",
        description="organization, sent to the same endpoint",
    )
    project: Annotated[str, AfterValidator(_header_value)] | None = Field(
        default=None,
        validation_alias="OPENAI_PROJECT_ID",
        description="project, sent to the same endpoint",
    )
    tool_protocol: ToolProtocol = Field(
        default="native",
        validation_alias="HUTCH_TOOL_PROTOCOL",
        description="how tools are offered to models, for agents whose file doesn't say; `schema`: "
        "for models without dependable tool calls",
    )
    prices: Annotated[Prices, NoDecode, BeforeValidator(given("prices"))] = Field(
        default={},
        validation_alias="HUTCH_PRICES",
        description="prices in USD per million tokens, as JSON or the name of a JSON or YAML file: "
        "`{MODEL: {input, cached_input, output}}`; a model without one has that of `genai-prices`",
    )
    limits: Annotated[Limits, NoDecode, BeforeValidator(given("limits"))] = Field(
        default={},
        validation_alias="HUTCH_LIMITS",
        description="limits that all processes share, as JSON or the name of a JSON or YAML file: "
        "`{MODEL: {concurrent_calls, requests_per_minute, tokens_per_minute}}`; see limits.md",
    )
    drain_s: float = Field(
        default=20.0,
        ge=0,
        validation_alias="HUTCH_DRAIN_S",
        description="seconds that running work may take to finish at SIGTERM",
    )
    keep_days: float = Field(
        default=30.0,
        gt=0,
        validation_alias="HUTCH_KEEP_DAYS",
        description="days for which ended runs are kept and repeated tasks recognised",
    )
    health_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        validation_alias="HUTCH_HEALTH_PORT",
        description="port of `/live`, `/ready` and `/metrics`; 0: any free one, named in the log",
    )
    health_host: str = Field(
        default="127.0.0.1",
        validation_alias="HUTCH_HEALTH_HOST",
        description="address that the health port listens on",
    )
    debug: bool = Field(
        default=False,
        validation_alias="HUTCH_DEBUG",
        description="`1`: a failure also shows its traceback",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        validation_alias="HUTCH_LOG",
        description="format of log lines; `auto`: readable on a terminal, JSON elsewhere",
    )

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `SettingsError`, also for a secret's file that can't be read."""
        for name in ("RABBITMQ_URL", "HUTCH_STORE", "OPENAI_API_KEY"):
            secret(name)
        return super().from_environment()

    def given_broker(self) -> str | None:
        """The broker's address as it is now, if there is one.

        This and the next methods raise `SettingsError` if a secret's file can't be read.
        """
        url = current_secret(self.rabbitmq_url, "RABBITMQ_URL", self.rabbitmq_url_file)
        return url.get_secret_value() if url else None

    def broker(self) -> str:
        """The broker's address as it is now. Raises `SettingsError` if there is none."""
        url = self.given_broker()
        if url is None:
            raise SettingsError(
                "no broker: set RABBITMQ_URL (amqp://user:password@host:5672/), "
                "or let 'hutch up' find or start one"
            )
        return url

    def store(self) -> str:
        """The store's address as it is now."""
        url = current_secret(self.store_url, "HUTCH_STORE", self.store_url_file)
        assert url is not None
        return url.get_secret_value()

    def key(self) -> SecretStr | None:
        """The key of the settings' model as it is now."""
        return current_secret(self.api_key, "OPENAI_API_KEY", self.api_key_file)

    def gets_our_key(self, base_url: str | None, api_key_env: str | None) -> bool:
        """Whether a model with these fields in its agent's file gets the key and the headers of the
        settings. An agent's file that names another endpoint names its key too."""
        return api_key_env is None and base_url in {None, self.base_url}

    def account_headers(self) -> tuple[str, ...]:
        """The headers that the `openai` package adds itself; they belong to the key's endpoint."""
        lines = (self.custom_headers or SecretStr("")).get_secret_value().split("\n")
        own = (line.partition(":")[0].strip() for line in lines if ":" in line)
        return ("OpenAI-Organization", "OpenAI-Project", *own)


_PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY")
_NETWORK = (*_PROXIES, "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


class ScriptedSettings(Environment):
    """Where the scripted model listens."""

    host: str = Field(
        default="127.0.0.1",
        validation_alias="HUTCH_SCRIPTED_HOST",
        description="address that the scripted model listens on",
    )
    port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        validation_alias="HUTCH_SCRIPTED_PORT",
        description="its port; 0: any free one, named in the log",
    )


class LocalSettings(Environment):
    """Where the small real model listens; only this machine reaches it."""

    port: int = Field(
        default=8081,
        ge=1,
        le=65535,
        validation_alias="HUTCH_LOCAL_PORT",
        description="port of the local model, on 127.0.0.1",
    )


def no_model(agent: str) -> SettingsError:
    """The error of an agent without a model, and of `hutch up` before it starts such an agent."""
    return SettingsError(
        f"agent '{agent}' has no model: set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint "
        "of your own, or use --provider scripted"
    )


def network() -> str:
    """The variables that configure Hutch's HTTP clients, as they are set, for an error message."""
    names = (it for name in _NETWORK for it in (name, name.lower()) if os.environ.get(it))
    return ", ".join(f"{name}={os.environ[name]}" for name in names) or "the environment"


def network_fault() -> str:
    """A fault in those variables that an HTTP client would report late or never; empty: none.

    With a folder of certificates that does not exist, a client starts and then trusts no server.
    """
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path and not Path(path).exists():
            return f"{name} names something that is not there: '{path}'"
    for name in (it for proxy in _PROXIES for it in (proxy, proxy.lower())):
        address = os.environ.get(name)
        if address and not _names_host(address):
            return f"{name} is no address of a proxy: '{address}'"
    return ""


def _names_host(address: str) -> bool:
    try:
        url = urlsplit(address if "://" in address else f"http://{address}")
        return bool(url.hostname) and url.port != 0
    except ValueError:
        return False
