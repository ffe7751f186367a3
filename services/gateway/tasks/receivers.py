"""The agents to which messages can be sent."""

from __future__ import annotations

import time
from http import HTTPStatus

from services.gateway.gateway import Gateway
from services.gateway.problems import Problem
from shared.client.ask import declare_mailbox
from shared.contract.topology import mailbox_name
from shared.validation import near

KNOWN_S = 60.0
"""So long it is believed that a mailbox exists. If it is deleted meanwhile, an agent's process
refuses what is sent to it, or declares it again."""


class Receivers:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known_until: dict[str, float] = {}

    async def check(self, agent: str) -> None:
        """Make sure that a message to the agent waits for it.

        An agent of the folder that has never run gets its mailbox now. Raises a `Problem` for a
        name that has neither a mailbox nor a file, and `BrokerError`.
        """
        if self._known_until.get(agent, 0.0) > time.monotonic():
            return
        broker, names = self._gateway.broker, sorted(self._gateway.folder.names)
        if await broker.depth(mailbox_name(agent)) is None:
            if agent not in names:
                known = ", ".join(names) or "none"
                raise Problem(
                    HTTPStatus.NOT_FOUND,
                    f"no agent '{agent}'; known: {known}{near(agent, names)}",
                )
            await declare_mailbox(broker, agent)
        self._known_until[agent] = time.monotonic() + KNOWN_S
