"""The models of a process: one for each model that a definition of its runs names."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from services.agent.llm.client import Key, OnFailure, OpenAIModel, ignore_failure
from shared.definitions.model import Definition, ModelChoice, is_url
from shared.definitions.profiles import OPENAI_URL
from shared.errors import SettingsError
from shared.settings.environment import Settings, no_model
from shared.settings.secrets import secret

_PATH_OF_CALLS = re.compile(r"/(chat/completions|responses)/?(?=\?|$)")
"""Part of the address of a call, but not of the base URL: it is often copied along."""
_KEY = re.compile(r"[!-~]+")


class ModelRegistry:
    """Several at once, as a run resumes with the model of the definition that its claim froze."""

    def __init__(self, settings: Settings, on_failure: OnFailure) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self._built: dict[str, OpenAIModel] = {}

    def of(self, definition: Definition) -> OpenAIModel:
        """The definition's model, made once. Raises `SettingsError` as `build` does."""
        key = f"{definition.model.model_dump_json()} {definition.tool_protocol}"
        if key not in self._built:
            self._built[key] = build(definition, self._settings, self._on_failure)
        return self._built[key]

    async def close(self) -> None:
        for model in self._built.values():
            await model.close()


def build(
    definition: Definition, settings: Settings, on_failure: OnFailure = ignore_failure
) -> OpenAIModel:
    """The model for a definition: its own choice first, then the process's settings.

    The settings' key, and the headers that the openai package reads from the environment, are
    sent only to the settings' endpoint: an agent's file that names another endpoint names its key
    too. Raises `SettingsError` if no model is named; there is no default.
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
    if base_url is not None and not is_url(base_url):
        raise SettingsError(
            f"agent '{agent}': the model's base URL must be like https://host/v1; "
            "look at OPENAI_BASE_URL, or 'model.base_url' in its file"
        )
    if base_url is not None:
        _check_azure(agent, base_url)
    return OpenAIModel(
        name,
        _PATH_OF_CALLS.sub("", base_url or OPENAI_URL),
        key,
        definition.tool_protocol or settings.tool_protocol,
        on_failure=on_failure,
        withheld_headers=() if _gets_our_key(choice, settings) else settings.account_headers(),
        choice=choice,
    )


def _check_azure(agent: str, base_url: str) -> None:
    """Raises `SettingsError` for an address at which Azure serves no model."""
    url = urlsplit(base_url)
    if not (url.hostname or "").endswith(".openai.azure.com"):
        return
    deployment = "/openai/deployments/" in url.path and "api-version=" in url.query
    if not deployment and not url.path.rstrip("/").endswith("/openai/v1"):
        raise SettingsError(
            f"agent '{agent}': the base URL of an Azure model is "
            "https://NAME.openai.azure.com/openai/v1, or that of a deployment with its version: "
            "https://NAME.openai.azure.com/openai/deployments/NAME?api-version=2024-10-21"
        )


def _gets_our_key(choice: ModelChoice, settings: Settings) -> bool:
    return settings.gets_our_key(choice.base_url, choice.api_key_env)


def _key(definition: Definition, settings: Settings) -> Key:
    choice = definition.model
    variable = choice.api_key_env or "OPENAI_API_KEY"

    def key() -> SecretStr | None:
        if choice.api_key_env is not None:
            found = secret(variable)
            if found is None:
                raise SettingsError(
                    f"agent '{definition.name}' wants its key from {variable}, which is not set"
                )
        else:
            found = settings.key() if _gets_our_key(choice, settings) else None
        if found is not None and not _KEY.fullmatch(found.get_secret_value()):
            raise SettingsError(f"the key in {variable} holds characters that no header can carry")
        return found

    return key
