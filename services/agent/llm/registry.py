"""The models of a process: one for each model that a definition of its runs names."""

from __future__ import annotations

from services.agent.llm.client import OnFailure, OpenAIModel, ignore_failure
from shared.definitions.model import Definition, ModelChoice
from shared.definitions.model_address import model_address, with_embedding_model
from shared.settings.environment import Settings


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

    def of_embeddings(self, definition: Definition) -> OpenAIModel | None:
        """The model of the definition's embeddings, if it has any. Raises as `of` does."""
        embedding = with_embedding_model(definition)
        return self.of(embedding) if embedding else None

    def all_of(self, definition: Definition) -> list[OpenAIModel]:
        """The definition's model, those of its checks, its embeddings'. Raises as `of` does."""
        checks = definition.guardrails.checks if definition.guardrails else ()
        others = (with_model(definition, it.model) for it in checks if it.model is not None)
        embedding = with_embedding_model(definition)
        return [self.of(it) for it in (definition, *others, embedding) if it is not None]

    async def close(self) -> None:
        for model in self._built.values():
            await model.close()


def with_model(definition: Definition, name: str) -> Definition:
    """The definition with another model at the same endpoint, without options of its own."""
    choice = definition.model
    same = {"base_url": choice.base_url, "api_key_env": choice.api_key_env}
    model = ModelChoice.model_validate(
        {"name": name, "api": choice.api, "profile": choice.profile, **same}
    )
    return definition.model_copy(update={"model": model})


def build(
    definition: Definition, settings: Settings, on_failure: OnFailure = ignore_failure
) -> OpenAIModel:
    """The model for a definition. Raises `SettingsError` as `model_address` does."""
    address = model_address(definition, settings)
    return OpenAIModel(
        address.name,
        address.base_url,
        address.key,
        definition.tool_protocol or settings.tool_protocol,
        on_failure=on_failure,
        withheld_headers=address.withheld_headers,
        choice=definition.model,
    )
