"""The address of an agent's model: the agent's own choice first, then the process's settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from shared.definitions.model import Definition, ModelChoice
from shared.definitions.models.base_url import url_fault
from shared.definitions.models.profiles import OPENAI_URL
from shared.errors import SettingsError
from shared.settings.environment import Settings, no_model
from shared.settings.secrets import secret

_PATH_OF_CALLS = re.compile(r"/(chat/completions|responses)/?(?=\?|$)")
"""Part of the address of a call, but not of the base URL: it is often copied along."""
_KEY = re.compile(r"[!-~]+")

Key = Callable[[], SecretStr | None]
"""Returns the API key; raises `SettingsError` if it can't be read now."""


@dataclass(frozen=True)
class ModelAddress:
    """The settings' headers are sent only where their key is sent."""

    name: str
    base_url: str
    key: Key
    withheld_headers: tuple[str, ...]


def model_address(definition: Definition, settings: Settings) -> ModelAddress:
    """The name, endpoint and key with which an agent's process calls its model.

    The settings' key, and the headers that the openai package reads from the environment, are
    sent only to the settings' endpoint: an agent's file that names another endpoint names its key
    too. Raises `SettingsError` if no model is named (there is no default), or if its key can't be
    read.
    """
    agent, choice = definition.name, definition.model
    base_url = choice.base_url or settings.base_url
    key = _key(definition, settings)
    name = choice.name or settings.model
    if key() is None and base_url is None:
        raise no_model(agent)
    if name is None:
        raise SettingsError(
            f"agent '{agent}' names no model: set OPENAI_MODEL, or 'model' in its file"
        )
    if base_url is not None and (fault := url_fault(base_url)):
        raise SettingsError(
            f"agent '{agent}': {fault}; look at OPENAI_BASE_URL, or 'model.base_url' in its file"
        )
    ours = settings.gets_our_key(choice.base_url, choice.api_key_env)
    return ModelAddress(
        name=name,
        base_url=_PATH_OF_CALLS.sub("", base_url or OPENAI_URL),
        key=key,
        withheld_headers=() if ours else settings.account_headers(),
    )


def with_embedding_model(definition: Definition) -> Definition | None:
    """The agent with the model of its embeddings as its model; None: it has no embeddings.

    They are at the endpoint of the agent's model, unless their own is named.
    """
    own = definition.knowledge.embeddings if definition.knowledge else None
    if own is None:
        return None
    choice = definition.model
    if own.base_url:
        choice = ModelChoice(base_url=own.base_url, api_key_env=own.api_key_env)
    choice = choice.model_copy(update={"name": own.name})
    return definition.model_copy(update={"model": choice})


def _key(definition: Definition, settings: Settings) -> Key:
    choice = definition.model
    variable = choice.api_key_env or "OPENAI_API_KEY"
    ours = settings.gets_our_key(choice.base_url, choice.api_key_env)

    def key() -> SecretStr | None:
        if choice.api_key_env is not None:
            found = secret(variable)
            if found is None:
                raise SettingsError(
                    f"agent '{definition.name}' wants its key from {variable}, which is not set"
                )
        else:
            found = settings.key() if ours else None
        if found is not None and not _KEY.fullmatch(found.get_secret_value()):
            raise SettingsError(f"the key in {variable} holds characters that no header can carry")
        return found

    return key
