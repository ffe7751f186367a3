"""The differences between kinds of endpoints: a table with one row for each, and no `if` elsewhere.

A row is found by the endpoint's host, or named by `model.profile` in an agent's file. Where models
of one endpoint differ, the row changes fields by patterns of the model's name. What a row gets
wrong is learnt from refusals (`fallbacks`), as changes of the same fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from shared.definitions.model import ProfileName

Wire = Literal["chat", "responses"]

OPENAI_URL = "https://api.openai.com/v1"
"""The base URL where neither an agent's file nor the settings name one."""


@dataclass(frozen=True)
class Schemas:
    """The JSON schemas of structured answers that an endpoint takes."""

    strict: bool = True
    """Whether `strict: true` is sent: objects are closed and all their keys required."""
    refused: frozenset[str] = frozenset()
    """Keywords that it refuses or ignores."""
    root_any_of: bool = True
    """Whether the root may be an `anyOf` instead of an object."""


@dataclass(frozen=True)
class Profile:
    """One kind of endpoint. The defaults are those of an endpoint that nothing is known about."""

    name: ProfileName = "generic"
    hosts: tuple[str, ...] = ()
    """Patterns of the whole host, or of `host:port`; `*` is any text."""
    path: str = ""
    """A part of the base URL's path that must be there."""
    models: tuple[tuple[str, Mapping[str, object]], ...] = ()
    """Fields that differ for models whose whole name matches a pattern, in this order."""

    wire: Wire = "chat"
    key_header: Literal["Authorization", "api-key"] = "Authorization"
    output_limit: str | None = "max_tokens"
    """The field that limits a reply: some refuse the old name, others ignore the new one."""
    effort: bool = True
    """Whether a reasoning effort is sent where the agent's file names one."""
    tools_effort: str | None = None
    """The effort that chat completions with tools need, whatever the agent's file names."""
    encrypted_reasoning: bool = True
    """Responses: whether encrypted reasoning is asked for, to be sent back with later requests."""
    temperature: bool = True
    """Whether the temperature that the agent's file names is sent."""
    null_content: bool = True
    """Whether a reply that only called tools goes back with `content: null` or with `""`."""
    idle_tools: Literal["omitted", "choice_none", "offered"] = "omitted"
    """How tools are sent when none may be called and the history holds calls."""
    system_role: bool = True
    """False: the system text goes before the first user text."""
    user_after_tool: bool = False
    """False: a user text after a tool's result is appended to that result."""
    kept_message: tuple[str, ...] = (
        "reasoning_content",
        "reasoning_details",
        "reasoning_opaque",
        "extra_content",
    )
    """Chat completions: fields of a reply with calls that go back with it."""
    kept_calls: tuple[str, ...] = ("extra_content",)
    """The same of each call."""
    stream_false: bool = True
    """Whether `stream: false` is sent: some stream when the field is absent."""
    stream_usage: bool = True
    """Whether a streamed reply is asked to end with its usage."""
    schemas: Schemas = Schemas()
    window: int | None = None
    """The longest context in tokens that the endpoint gives to any model."""

    def context(self, model: str) -> int | None:
        """The length of the model's context in tokens; None if it isn't known."""
        own = _window(model)
        return min((it for it in (own, self.window) if it is not None), default=None)


@lru_cache  # each run asks
def _window(model: str) -> int | None:
    return next((size for pattern, size in WINDOWS if re.search(pattern, model)), None)


_OPENAI_SCHEMAS = Schemas(
    refused=frozenset(
        {"allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"}
        | {"patternProperties", "propertyNames", "minProperties", "maxProperties", "uniqueItems"}
        | {"unevaluatedProperties", "unevaluatedItems", "contains", "minContains", "maxContains"}
    ),
    root_any_of=False,
)
_LIMITS_REFUSED = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"}
    | {"maxLength", "pattern", "not", "minItems", "maxItems", "uniqueItems"}
)
_NO_SYSTEM: Mapping[str, object] = {"system_role": False, "effort": False, "wire": "chat"}
_OPENAI_MODELS: tuple[tuple[str, Mapping[str, object]], ...] = (
    (r"(o\d|gpt-[5-9]).*", {"temperature": False}),
    (r"o1-(mini|preview).*", _NO_SYSTEM),
    (r"gpt-(5\.[4-9]|[6-9]).*", {"tools_effort": "none"}),
    (r"(gpt-(3|4)|chatgpt).*", {"encrypted_reasoning": False, "effort": False}),
)

OPENAI = Profile(
    name="openai",
    hosts=("api.openai.com", "*.api.openai.com"),
    models=_OPENAI_MODELS,
    wire="responses",
    output_limit="max_completion_tokens",
    idle_tools="choice_none",
    user_after_tool=True,
    kept_message=(),
    kept_calls=(),
    schemas=_OPENAI_SCHEMAS,
)
_AZURE = ("*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com")

PROFILES: tuple[Profile, ...] = (
    OPENAI,
    replace(
        OPENAI,
        name="azure-deployment",
        hosts=_AZURE,
        path="/openai/deployments/",
        wire="chat",
        key_header="api-key",
    ),
    replace(OPENAI, name="azure", hosts=_AZURE),
    Profile(
        name="gemini",
        hosts=(
            "generativelanguage.googleapis.com",
            "aiplatform.googleapis.com",
            "*-aiplatform.googleapis.com",
        ),
        kept_message=("extra_content",),
        schemas=Schemas(refused=frozenset({"not", "oneOf", "patternProperties", "const"})),
    ),
    Profile(
        name="deepseek",
        hosts=("api.deepseek.com",),
        kept_message=("reasoning_content",),
        schemas=Schemas(strict=False),
    ),
    Profile(
        name="mistral",
        hosts=("*.mistral.ai",),
        kept_message=(),
        kept_calls=(),
    ),
    Profile(
        name="openrouter",
        hosts=("openrouter.ai", "*.openrouter.ai"),
        idle_tools="choice_none",
        kept_message=("reasoning_details",),
    ),
    Profile(
        name="groq",
        hosts=("api.groq.com",),
        output_limit="max_completion_tokens",
        kept_message=(),
        kept_calls=(),
        schemas=Schemas(refused=_LIMITS_REFUSED, root_any_of=False),
        window=131_072,
    ),
    Profile(name="llama.cpp", kept_message=("reasoning_content",)),
    Profile(name="lmstudio", hosts=("*:1234",), kept_message=("reasoning_content",)),
    Profile(
        name="ollama",
        hosts=("*:11434", "ollama.com", "ollama"),
        null_content=False,
        kept_message=(),
        window=4_096,  # its default, and what is longer it cuts off silently
    ),
    Profile(
        name="anthropic",
        hosts=("api.anthropic.com",),
        idle_tools="choice_none",
        kept_message=(),
        kept_calls=(),
        schemas=Schemas(refused=_LIMITS_REFUSED, root_any_of=False),
    ),
    Profile(
        name="cloudflare",
        hosts=("api.cloudflare.com", "gateway.ai.cloudflare.com"),
        null_content=False,
        kept_message=(),
        kept_calls=(),
    ),
    Profile(name="vllm", kept_message=("reasoning_content", "reasoning")),
    Profile(
        name="kimi",
        hosts=("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
        kept_message=("reasoning_content",),
    ),
    Profile(
        name="bedrock",
        hosts=("bedrock-runtime.*.amazonaws.com", "bedrock-mantle.*.api.aws"),
        models=((r"openai\.gpt-(5|6).*", {"output_limit": "max_completion_tokens"}),),
        idle_tools="choice_none",
    ),
    Profile(
        name="copilot",
        hosts=("*.githubcopilot.com",),
        models=(
            *_OPENAI_MODELS,
            (r"(o\d|gpt-[5-9]).*", {"output_limit": "max_completion_tokens"}),
        ),
        idle_tools="choice_none",
        kept_message=("reasoning_opaque", "reasoning_text"),
    ),
    Profile(
        name="generic",
        models=((r"(.*/)?o1-(mini|preview).*", _NO_SYSTEM),),
    ),
)

WINDOWS = (
    (r"gpt-(5\.[4-9]|[6-9])(?!.*-(mini|nano))", 1_000_000),
    (r"gpt-5\.3(?!.*codex)", 128_000),
    (r"gpt-5", 400_000),
    (r"gpt-4\.1", 1_000_000),
    (r"gpt-4o|gpt-4-turbo|chatgpt-4o|o1-(mini|preview)", 128_000),
    (r"gpt-4", 8_192),
    (r"gpt-3\.5", 16_385),
    (r"gpt-oss", 131_072),
    (r"(^|/)o[134](-|$)", 200_000),
    (r"gemini-(1\.5|[2-9])", 1_000_000),
    (r"deepseek-(v4|flash|pro)", 1_000_000),
    (r"deepseek-v3", 128_000),
    (r"deepseek", 64_000),
    (r"claude-(opus-(4-[6-9]|[5-9])|sonnet-(4-[6-9]|[5-9])|haiku-[5-9]|fable|mythos)", 1_000_000),
    (r"claude", 200_000),
    (r"kimi-k[3-9]", 1_000_000),
    (r"kimi-k2", 131_072),
    (r"mistral-large-4", 1_000_000),
    (r"(mistral|codestral|devstral|magistral|ministral)", 128_000),
    (r"grok-4", 256_000),
    (r"(llama-?[34]|qwen-?3|grok-3)", 128_000),
)
"""Context lengths in tokens by a part of the model's name; the first that fits. Where versions
differ the shorter is listed: `model.context` in an agent's file is exact.
"""


def profile(base_url: str, model: str, named: str | None = None) -> Profile:
    """The row for a model at an endpoint."""
    rows = (it for it in PROFILES if (it.name == named if named else _serves(it, base_url)))
    row = next(rows, PROFILES[-1])
    for pattern, changes in row.models:
        if re.fullmatch(pattern, model):
            row = replace(row, **changes)  # type: ignore[arg-type]  # a test replaces every one
    return row


def _serves(row: Profile, base_url: str) -> bool:
    url = urlsplit(base_url)
    host = url.hostname or ""
    here = (fnmatchcase(f"{host}:{url.port}" if ":" in it else host, it) for it in row.hosts)
    return row.path in url.path and any(here)
