"""The model that agents call: that of the environment, or one that is served on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.cli.machine.ports import free_ports
from services.cli.machine.supervisor import Role
from shared.errors import HutchError

START_S = 60.0
"""The time limit for a model's start: the local one reads 130 MB before it answers."""
POLL_S = 0.1


class Provider(StrEnum):
    OPENAI = "openai"
    SCRIPTED = "scripted"
    LOCAL = "local"


@dataclass(frozen=True)
class Endpoint:
    """A model, the variables with which agents call it, and the process that serves it, if any."""

    notice: str
    """The line that shows the user which model is used."""
    role: Role | None = None
    port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    async def answering(self) -> None:
        """Wait until the port accepts connections; raises `HutchError` after `START_S`."""
        until = time.monotonic() + START_S
        while self.role is not None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                if time.monotonic() > until:
                    raise HutchError(
                        f"the {self.role.name} model did not start within {START_S:.0f} s: "
                        "its lines above say why"
                    ) from error
                await asyncio.sleep(POLL_S)
            else:
                writer.close()
                return


def endpoint(provider: Provider) -> Endpoint:
    """The endpoint of a provider. Chooses a free port for a model that is to be served here, but
    starts nothing."""
    match provider:
        case Provider.OPENAI:
            return Endpoint("model: as OPENAI_MODEL, OPENAI_BASE_URL and OPENAI_API_KEY say")
        case Provider.SCRIPTED:
            notice = "model: SCRIPTED: canned answers for the shipped examples, not a real model"
            native = {"OPENAI_MODEL": "scripted", "HUTCH_TOOL_PROTOCOL": "native"}
            return _served("scripted", notice, "HUTCH_SCRIPTED_PORT", native)
        case Provider.LOCAL:
            notice = "model: smollm2-135m, small and real, on this machine"
            schema = {"OPENAI_MODEL": "smollm2-135m", "HUTCH_TOOL_PROTOCOL": "schema"}
            return _served("local", notice, "HUTCH_LOCAL_PORT", schema)


def _served(name: str, notice: str, port_variable: str, environment: Mapping[str, str]) -> Endpoint:
    [port] = free_ports(1)
    return Endpoint(
        notice=notice,
        role=Role(name, f"services.{name}"),
        port=port,
        environment={
            **environment,
            port_variable: str(port),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OPENAI_API_KEY": name,  # for a model that is served here, agents get no real key
            "OPENAI_API_KEY_FILE": "",
        },
    )
