"""Reading what endpoints send: strict where something depends on it, lenient everywhere else."""

from __future__ import annotations

import json
import re
from typing import Annotated

import structlog
from pydantic import BaseModel, BeforeValidator, JsonValue

from services.agent.llm.chat import Text
from services.agent.llm.errors import FewTries, invalid_reply, judged, no_reply
from shared.contract.messages import Usage
from shared.definitions.functions import JsonObject

log = structlog.get_logger()

MOST_TOKENS = 1_000_000_000
"""More than any model reads or writes in one reply."""
MOST_DIGITS = 4_000
"""Python refuses to parse a longer integer: it is read as a string."""
MAX_NAME_CHARS = 200

THINK, THOUGHT = "<think>", "</think>"
_REASONING = re.compile(
    r"\A\s*(?:<think>.*?</think>\s*)+|\A(?:(?!<think>).)*?</think>\s*?\n\s*", re.DOTALL
)
"""Reasoning that no parser has taken out of the text; some templates open it in the prompt."""
_UNENDED = re.compile(r"\A\s*<think>(?!.*</think>).*", re.DOTALL)
_COMMENTS = re.compile(rb"(?:\s*:[^\n]*(?:\n|\Z))*")
_FINISH = {"model_length": "length", "max_tokens": "length", "safety": "content_filter"}
"""Other names of the reasons that decide something."""


def without_reasoning(text: str) -> str:
    """The text for the reader, without the reasoning that it begins with."""
    if THINK not in text and THOUGHT not in text:
        return text
    return _UNENDED.sub("", _REASONING.sub("", text, count=1))


def joined(content: JsonValue) -> JsonValue:
    """The parts of a list that are for the reader, as one text; anything else as it is."""
    if not isinstance(content, list):
        return content
    parts = (it if isinstance(it, dict) else {"text": it} for it in content)
    shown = (it.get("text") for it in parts if it.get("type") in ("text", "output_text", None))
    return "".join(it for it in shown if isinstance(it, str))


def _content(value: JsonValue) -> JsonValue:
    text = joined(value)
    return without_reasoning(text) if isinstance(text, str) else text


def _count(value: object) -> int:
    """A number of tokens. An invalid one counts as 0: a paid reply is not discarded for it."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        shown = str(value)[:MAX_NAME_CHARS]
        log.warning("the endpoint reports no number of tokens: counted as 0", reported=shown)
        return 0
    return value


def _name(value: object) -> object:
    """A text that no decision depends on, cut; anything else is None."""
    return value[:MAX_NAME_CHARS] if isinstance(value, str) else None


def _mapping(value: object) -> object:
    return value if isinstance(value, dict) else {}


Content = Annotated[Text | None, BeforeValidator(_content)]
Name = Annotated[Text | None, BeforeValidator(_name)]
Count = Annotated[int, BeforeValidator(_count)]
OrEmpty = BeforeValidator(_mapping)
"""For an object that is read if it is one."""


class InputDetails(BaseModel):
    """What both wires report about the tokens that were read."""

    cached_tokens: Count = 0


class OutputDetails(BaseModel):
    """What both wires report about the tokens that were written."""

    reasoning_tokens: Count = 0


def usage(inputs: int, outputs: int, cached: int, reasoning: int) -> Usage:
    """The usage of one reply; parts never exceed the whole."""
    return Usage(
        model_calls=1,
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=min(cached, inputs),
        reasoning_tokens=min(reasoning, outputs),
    )


def finish(reason: str | None) -> str | None:
    """The finish reason under the name that the loop knows. Raises for one that is an error."""
    lowered = (reason or "").lower()
    if lowered == "error":
        raise no_reply("it ends with an error")
    if "malformed" in lowered:
        public = "the model wrote a call that its endpoint can't read"
        raise FewTries(f"the endpoint's reply ends with {reason}", public=public)
    if lowered.startswith("content_filter"):
        return "content_filter"
    return _FINISH.get(lowered, reason)


def arguments_text(arguments: JsonValue) -> str:
    """Some endpoints send the arguments as an object instead of as JSON text."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else json.dumps(arguments)


def decoded(body: bytes | str) -> JsonObject:
    """The body of a successful response as an object without an error inside.

    Lines of comments before it are skipped, as endpoints send them to keep a connection open.
    Raises `ModelUnavailable`, which is retried, for a body that is empty, cut off or holds an error
    that can pass; `ModelError` for anything else that is no object.
    """
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    body = without_comments(body)
    try:
        reply: JsonValue = json.loads(body, parse_int=_integer)
    except ValueError as error:
        if body.lstrip()[:1] in {b"", b"{"}:
            raise no_reply(f"it is empty or cut off: {error}") from error
        raise invalid_reply(f"no JSON: {error}") from error
    except RecursionError as error:
        raise invalid_reply("it is nested too deep") from error
    if not isinstance(reply, dict):
        raise invalid_reply(f"it is a {type(reply).__name__}")
    check_error(reply)
    return reply


def without_comments(body: bytes) -> bytes:
    """The body from its first line that is no comment of a stream."""
    start = _COMMENTS.match(body)
    return body[start.end() :] if start else body


def check_error(holder: JsonObject) -> None:
    """Raises the error that a reply, a choice or an event holds in place of an answer."""
    if error := holder.get("error"):
        raise judged(None, error, "the endpoint's reply holds an error")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < MOST_DIGITS else digits
