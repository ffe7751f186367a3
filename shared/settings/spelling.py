"""Variables whose names are misspelt."""

from __future__ import annotations

import os
from difflib import get_close_matches

from shared.settings.environment import LocalSettings, ScriptedSettings, Settings
from shared.settings.gateway import GatewaySettings, RemoteSettings

SIMILAR = 0.85
"""How similar a variable's name is to one that is read, at least, to count as misspelt."""

_OURS = ("HUTCH_", "OPENAI_", "RABBITMQ_")


def misspelt() -> dict[str, str]:
    """Variables that are set and that no process reads, with the similar name that one reads."""
    models = (Settings, GatewaySettings, RemoteSettings, ScriptedSettings, LocalSettings)
    fields = [field for model in models for field in model.model_fields.values()]
    known = {str(field.validation_alias) for field in fields}
    ours = [it for it in os.environ if it.startswith(_OURS) and it not in known]
    near = {it: get_close_matches(it, known, n=1, cutoff=SIMILAR) for it in ours}
    return {name: found[0] for name, found in near.items() if found}
