"""The model of each definition that this process still has runs of."""

from __future__ import annotations

from services.agent.model import Failed, OpenAIModel, build
from shared.definitions import Definition
from shared.settings import Settings


class Models:
    """A run resumes under the definition that its claim froze, so also under its model."""

    def __init__(self, settings: Settings, failed: Failed) -> None:
        self._settings = settings
        self._failed = failed
        self._built: dict[str, OpenAIModel] = {}

    def of(self, definition: Definition) -> OpenAIModel:
        """Raises `SettingsError` when the settings no longer say where that model is."""
        key = f"{definition.model.model_dump_json()} {definition.tool_protocol}"
        if key not in self._built:
            self._built[key] = build(definition, self._settings, self._failed)
        return self._built[key]

    async def close(self) -> None:
        for model in self._built.values():
            await model.close()
