"""The functions of each wire format."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from services.agent.llm import completions, responses
from services.agent.llm.chat import Completion, Request
from services.agent.llm.streams import Assembly
from shared.definitions.functions import JsonObject
from shared.definitions.model import ModelChoice
from shared.definitions.models.profiles import Profile, Wire


class WireFormat(NamedTuple):
    body: Callable[[Request, str, Profile, ModelChoice], JsonObject]
    streamed: Callable[[JsonObject, Profile], JsonObject]
    parsed: Callable[[JsonObject, str], Completion]
    assembly: Callable[[], Assembly]


WIRES: dict[Wire, WireFormat] = {
    "chat": WireFormat(
        completions.body, completions.streamed, completions.parsed, completions.Chunks
    ),
    "responses": WireFormat(responses.body, responses.streamed, responses.parsed, responses.Events),
}
