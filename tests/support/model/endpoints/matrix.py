"""The kinds of endpoints that are played: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import JsonValue

from shared.definitions.model import ProfileName
from tests.support.model.endpoints import rules
from tests.support.model.endpoints.conversation import Body, Line
from tests.support.model.endpoints.rules import Refusal, Rule

Dress = Callable[[Body, Line], None]
"""Changes a completion into the form that the endpoint gives it."""


@dataclass(frozen=True)
class Row:
    """One endpoint with one model. `choice` holds more fields of `model:` in the agent's file."""

    name: str
    profile: ProfileName
    model: str
    rules: tuple[Rule, ...] = ()
    choice: dict[str, JsonValue] = field(default_factory=dict)
    dress: tuple[Dress, ...] = ()
    reasons: bool = True
    """Responses: whether replies hold reasoning items."""
    prefix: str = ""
    """What comes before the JSON of a reply."""
    streams_unless_told: bool = False
    first: Refusal | None = None
    """The answer to the first request of all."""
    refusals: int = 0
    """Requests that it refuses before the client knows better."""


def message(reply: Body) -> Body:
    found: Body = reply["choices"][0]["message"]
    return found


def thought(field: str, *, calls_only: bool = True) -> Dress:
    """A field of the message with what the model has thought."""

    def dress(reply: Body, line: Line) -> None:
        if line.calls or not calls_only:
            message(reply)[field] = f"thought-{line.turn} of this"

    return dress


def details(reply: Body, line: Line) -> None:
    """OpenRouter: reasoning as a list of blocks."""
    block = {"type": "reasoning.encrypted", "data": f"thought-{line.turn}", "index": 0}
    message(reply)["reasoning_details"] = [block]


def signature(place: str) -> Dress:
    def dress(reply: Body, line: Line) -> None:
        if line.calls:
            extra = {place: {"thought_signature": f"signature-{line.turn}"}}
            message(reply)["tool_calls"][0]["extra_content"] = extra

    return dress


def parts(reply: Body, line: Line) -> None:
    """Mistral: the content as a list, the reasoning among it."""
    if line.text:
        reasoning = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
        text = [{"type": "text", "text": half} for half in (line.text[:2], line.text[2:])]
        message(reply)["content"] = [reasoning, *text]


def think(reply: Body, line: Line) -> None:
    """A server without a parser for the model's reasoning."""
    said = line.text or ("I look." if line.calls else "")
    message(reply)["content"] = f"<think>\nI could look.\n</think>\n\n{said}"


def spaced(reply: Body, line: Line) -> None:
    """A text beside calls that ends in white space."""
    if line.calls:
        message(reply)["content"] = "I look. \n"


def objects(reply: Body, line: Line) -> None:
    """vLLM: arguments as objects, and nulls."""
    message(reply).setdefault("tool_calls", None)
    message(reply)["reasoning_content"] = None
    for call, own in zip(message(reply)["tool_calls"] or (), line.calls, strict=False):
        call["function"]["arguments"] = own.arguments


def two_choices(reply: Body, line: Line) -> None:
    """Copilot's Claude: the text in one choice, the calls in another."""
    if line.calls:
        choice = reply["choices"][0]
        text = {"role": "assistant", "content": "I look."}
        first = {"index": 0, "message": text, "finish_reason": "tool_calls"}
        reply["choices"] = [first, choice | {"index": 1}]


def wrong_types(reply: Body, line: Line) -> None:
    reply["usage"] = {"prompt_tokens": -1, "completion_tokens": "5", "total_tokens": None}
    reply["model"] = None
    for call in message(reply).get("tool_calls", ()):
        call["id"] = 7


_REASONING = (rules.no_max_tokens, rules.no_temperature)
_OPENAI_CHAT = (*_REASONING, rules.no_tools_with_reasoning, rules.only_known_message_fields)
_STORED = (rules.responses_form, rules.nothing_is_stored, rules.no_temperature)
_JINJA = (
    "Conversation roles must alternate user/assistant/user/assistant/... (Jinja Exception in "
    "the chat template)"
)
_LM_STUDIO = 'Error rendering prompt with jinja template: "No user query found in messages."'
_DEEPSEEK = "The `reasoning_content` in the thinking mode must be passed back to the API."
_KIMI = "thinking is enabled but reasoning_content is missing in assistant tool call message"
_OLLAMA = {"error": {"message": "invalid message content type: <nil>", "type": "api_error"}}
_CLOUDFLARE = {
    "errors": [
        {
            "message": "AiError: Bad input: Error: Type mismatch of '/messages/2/content', "
            "'string' not in 'null'",
            "code": 5006,
        }
    ],
    "success": False,
}
_FAILED_CALL = {
    "error": {
        "message": "Failed to call a function. Please adjust your prompt. See "
        "'failed_generation' for more details.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=lookup{order: 1}",
    }
}
_OVERLOADED = {"error": {"message": "Provider returned error", "code": 502}}

ROWS = (
    Row("openai-responses", "openai", "gpt-5.6", _STORED, {"reasoning": "low"}),
    Row(
        "openai-responses-gpt-4.1",
        "openai",
        "gpt-4.1",
        (rules.responses_form, rules.no_encrypted_reasoning, rules.no_effort),
        {"reasoning": "low"},
        reasons=False,
    ),
    Row("openai-chat", "openai", "gpt-5.6", _OPENAI_CHAT, {"api": "chat", "reasoning": "low"}),
    Row(
        "openai-o1-mini",
        "openai",
        "o1-mini",
        (*_REASONING, rules.no_system_role, rules.no_effort),
        {"reasoning": "low"},
    ),
    Row("azure", "azure", "gpt-5.6", _STORED),
    Row(
        "azure-deployment",
        "azure-deployment",
        "gpt-5.6",
        (*_OPENAI_CHAT, rules.deployment_address),
        {"api_key_env": "AZURE_KEY"},
    ),
    Row(
        "gemini",
        "gemini",
        "gemini-3-pro",
        (rules.signatures_come_back("google"),),
        dress=(signature("google"),),
    ),
    Row(
        "vertex",
        "gemini",
        "google/gemini-3-pro",
        (rules.signatures_come_back("vertex"),),
        dress=(signature("vertex"),),
    ),
    Row(
        "deepseek",
        "deepseek",
        "deepseek-v4-pro",
        (rules.comes_back("reasoning_content", _DEEPSEEK),),
        dress=(thought("reasoning_content", calls_only=False),),
    ),
    Row(
        "kimi",
        "kimi",
        "kimi-k2.5",
        (rules.comes_back("reasoning_content", _KIMI),),
        dress=(thought("reasoning_content"),),
    ),
    Row(
        "mistral",
        "mistral",
        "mistral-large-4",
        (rules.ids_of_nine_characters, rules.no_user_after_tool, rules.no_empty_tools),
        dress=(parts,),
    ),
    Row(
        "openrouter",
        "openrouter",
        "google/gemini-3-pro",
        (rules.comes_back("reasoning_details", "Reasoning is missing from the request."),),
        dress=(details,),
        prefix=": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n",
        first=Refusal(200, _OVERLOADED),
    ),
    Row(
        "groq",
        "groq",
        "openai/gpt-oss-120b",
        (rules.properties_are_known, rules.no_empty_tools),
        dress=(thought("reasoning"),),
        first=Refusal(400, _FAILED_CALL),
    ),
    Row("llama.cpp", "llama.cpp", "qwen3", (rules.roles_alternate(_JINJA),)),
    Row("lmstudio", "lmstudio", "qwen3", (rules.roles_alternate(_LM_STUDIO),)),
    Row("ollama", "ollama", "qwen3", (rules.no_null_content(_OLLAMA),)),
    Row(
        "anthropic",
        "anthropic",
        "claude-opus-5",
        (rules.no_white_space_or_empty_text, rules.tools_are_listed_with_calls),
        dress=(spaced,),
    ),
    Row("cloudflare", "cloudflare", "@cf/qwen", (rules.no_null_content(_CLOUDFLARE),)),
    Row("vllm", "vllm", "qwen3", dress=(objects,)),
    Row("bedrock", "bedrock", "us.anthropic.claude", (rules.tools_are_listed_with_calls,)),
    Row(
        "bedrock-no-tool-choice",
        "bedrock",
        "us.amazon.nova",
        (rules.tools_are_listed_with_calls, rules.no_tool_choice),
        refusals=1,
    ),
    Row(
        "copilot",
        "copilot",
        "claude-opus-5",
        (rules.comes_back("reasoning_opaque", "invalid request body"),),
        dress=(thought("reasoning_opaque"), two_choices),
    ),
    Row("think", "generic", "deepseek-r1", (rules.no_thinking_in_history,), dress=(think,)),
    Row("streams-unless-told", "generic", "qwen3", streams_unless_told=True),
    Row("wrong-types", "generic", "qwen3", dress=(wrong_types,)),
)
BY_NAME = {row.name: row for row in ROWS}
