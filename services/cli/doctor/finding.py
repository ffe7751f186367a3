"""What `hutch doctor` finds: a sentence, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import HutchError, StoreUnavailable


class Severity(StrEnum):
    FAULT = "fault"
    """Something does not work, or loses or delays work."""
    ADVICE = "advice"
    """It works, and may not be as intended."""
    NOT_SEEN = "not seen"
    """It can't be checked from here."""


class Area(StrEnum):
    SETTINGS = "settings"
    VERSIONS = "versions"
    HOME = ".hutch"
    STORE = "store"
    BROKER = "broker"
    RIGHTS = "rights"
    QUEUES = "queues"
    PROCESSES = "processes"
    ENDPOINTS = "endpoints"
    MCP = "MCP servers"


@dataclass(frozen=True)
class Finding:
    area: Area
    severity: Severity
    sentence: str
    remedy: str
    """What to do."""


def fault(area: Area, sentence: str, remedy: str) -> Finding:
    return Finding(area, Severity.FAULT, sentence, remedy)


def advice(area: Area, sentence: str, remedy: str) -> Finding:
    return Finding(area, Severity.ADVICE, sentence, remedy)


def not_seen(area: Area, sentence: str, remedy: str) -> Finding:
    return Finding(area, Severity.NOT_SEEN, sentence, remedy)


def of_error(area: Area, error: HutchError) -> Finding:
    """The fault that an error states: the last part of its sentence says what to do."""
    text = str(error)
    if isinstance(error, StoreUnavailable):
        return fault(area, text, "start the store, or correct HUTCH_STORE")
    parts = re.fullmatch(r"(.+)[:;] (.+)", text, re.DOTALL)
    if parts is None:
        return fault(area, text, "correct it; docs/operations.md says how the parts work together")
    return fault(area, parts[1], parts[2])


def counted(number: int, noun: str) -> str:
    """Such as "1 message" or "3 messages"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
