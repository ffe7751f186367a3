"""Any OpenAI-compatible endpoint as a model: the only file that knows the API or its package.

One owner of a call's retries: the package's are off; what can succeed later is tried again here,
and is a `ModelUnavailable` when that doesn't help; all else is a `ModelError` at once. The
package is imported at the first use, in a thread: that takes about a second, which a starting
agent and its beat can't spare.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue, SecretStr
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from services.agent import protocol, wire
from services.agent.chat import ChatMessage, Completion, ToolSpec
from services.agent.profiles import profile
from shared.definitions import Definition, is_url
from shared.errors import ModelError, ModelFault, ModelUnavailable, SettingsError
from shared.settings import Settings, no_model, secret
from shared.tools import JsonObject

if TYPE_CHECKING:
    import openai

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""For endpoints without keys: the package insists on one."""
CONNECT_S = 5.0
ATTEMPT_S = 180.0
"""Seconds for one request: a reasoning model's long answer, or a small machine's slow one."""
TOTAL_S = 540.0
"""Seconds for one call with all its retries: less than a run's default limit of 10 minutes."""
ATTEMPTS = 4
LONGEST_WAIT_S = 60.0
"""An endpoint that asks for a longer wait is not waited for here: that would hold a slot."""
PASSING = frozenset({408, 409, 429})
"""Statuses below 500 that the same request can overcome later."""
MAX_DETAIL_CHARS = 500

_KEY = re.compile(r"^[!-~]+$")
_backoff_s = wait_random_exponential(multiplier=0.5, max=8)
"""Full jitter: agents that failed together don't come back together."""

Key = Callable[[], SecretStr | None]
"""Raises `SettingsError` when the key can't be read now."""

Failed = Callable[[ModelFault], None]
"""Hears of each attempt that failed, those that a later one made up for too."""


def _unheard(_: ModelFault) -> None:
    """For those who count nothing."""


class OpenAIModel:
    """One model at one endpoint; calls may run side by side.

    `tool_protocol` says how tools are offered: natively, or as a JSON schema of choices.
    `api_key` is asked before each request, so that a key can be changed meanwhile.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: Key = lambda: None,
        tool_protocol: Literal["native", "schema"] = "native",
        attempt_s: float = ATTEMPT_S,
        failed: Failed = _unheard,
    ) -> None:
        self.name = name
        self.base_url = base_url
        self._api_key = api_key
        self._tool_protocol = tool_protocol
        self._attempt_s = attempt_s
        self._failed = failed
        self._profile = profile(base_url)
        self._client: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    async def warm(self) -> None:
        """Does the slow part of the first call beforehand; needs no endpoint."""
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._open)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def complete(
        self,
        history: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        most_tokens: int | None = None,
    ) -> Completion:
        """As `Model.complete`: the call is retried inside, at most `TOTAL_S` in all."""
        if self._tool_protocol == "native":
            return await self._send_limited(wire.offered(tools), history, most_tokens)
        choices = protocol.response_format(history, tools)
        rendered = protocol.rendered(history, tools)
        reply = await self._send_limited(choices, rendered, most_tokens)
        return protocol.chosen(reply) if choices else reply

    async def _send_limited(
        self, fields: JsonObject, history: Sequence[ChatMessage], most_tokens: int | None
    ) -> Completion:
        for limit in wire.limits(most_tokens, self._profile):
            try:
                return await self._send(fields | limit, history)
            except ModelError as error:
                if not limit or not wire.refused_limit(str(error)):
                    raise
        raise AssertionError("the last try is without a limit")

    async def _send(self, fields: JsonObject, history: Sequence[ChatMessage]) -> Completion:
        messages: list[JsonValue] = [wire.message(message, self._profile) for message in history]
        body = {"model": self.name, "messages": messages, **fields}
        attempts = AsyncRetrying(
            retry=retry_if_exception(_is_soon_over),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait_s,
            reraise=True,
        )
        try:
            async with asyncio.timeout(TOTAL_S):
                return await attempts(self._attempt, body)
        except TimeoutError as error:
            raise translated(error, None) from error

    async def _attempt(self, body: JsonObject) -> Completion:
        try:
            return wire.completion(await self._post(body))
        except ModelError as error:
            self._failed(error.reason)
            raise

    async def _post(self, body: JsonObject) -> bytes:
        await self.warm()
        import httpx2
        import openai

        assert self._client is not None
        key = self._key()
        bearer = f"Bearer {key.get_secret_value() if key else NO_KEY}"
        try:
            async with asyncio.timeout(self._attempt_s):
                reply = await self._client.post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    body=body,
                    options={"headers": {"Authorization": bearer}},
                )
        except (openai.OpenAIError, TimeoutError) as error:
            raise translated(error, key) from error
        return reply.content

    def _key(self) -> SecretStr | None:
        try:
            return self._api_key()
        except SettingsError as error:  # its file may be on its way
            public = "the model's key can't be read"
            raise ModelUnavailable(str(error), public=public, reason="unavailable") from error

    def _open(self) -> openai.AsyncOpenAI:
        import openai

        return openai.AsyncOpenAI(
            api_key=NO_KEY,
            base_url=self.base_url,
            timeout=openai.Timeout(self._attempt_s, connect=CONNECT_S),
            max_retries=0,
        )


def build(definition: Definition, settings: Settings, failed: Failed = _unheard) -> OpenAIModel:
    """The model that an agent's file names, over the process's settings.

    The settings' key goes only to the settings' endpoint: a file that names another endpoint
    names its key too. Raises `SettingsError` when no model is named; none is ever assumed.
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
    return OpenAIModel(
        name,
        base_url or OPENAI,
        key,
        definition.tool_protocol or settings.tool_protocol,
        failed=failed,
    )


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
            found = settings.key() if choice.base_url in {None, settings.base_url} else None
        if found is not None and not _KEY.match(found.get_secret_value()):
            raise SettingsError(f"the key in {variable} holds characters that no header can carry")
        return found

    return key


def _is_soon_over(error: BaseException) -> bool:
    return isinstance(error, ModelUnavailable) and (error.wait_s or 0.0) <= LONGEST_WAIT_S


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ModelUnavailable) and error.wait_s is not None:
        return error.wait_s * random.uniform(1.0, 1.25)
    return _backoff_s(state)


def translated(error: Exception, api_key: SecretStr | None) -> ModelError:
    """What any error of the package means here; the key stands in none of the texts."""
    import openai

    key = api_key.get_secret_value() if api_key else ""
    detail = (str(error).replace(key, "***") if key else str(error))[:MAX_DETAIL_CHARS]
    match error:
        case openai.APIStatusError():
            return _of_status(error, detail)
        case openai.APITimeoutError() | TimeoutError():
            why = "the model did not answer in time"
            return ModelUnavailable(why, public="the model timed out", reason="timeout")
        case openai.APIConnectionError():
            why = f"the model's endpoint can't be reached: {error.__cause__ or detail}"
            return ModelUnavailable(why, public="the model can't be reached", reason="unavailable")
    return ModelError(f"{type(error).__name__}: {detail}")


def _of_status(error: openai.APIStatusError, detail: str) -> ModelError:
    said, public = f"the model's endpoint said {detail}", _public(error)
    if _out_of_quota(error):
        return ModelError(said, public=public, reason="quota")
    if error.status_code not in PASSING and error.status_code < 500:
        return ModelError(said, public=public, reason="refused")
    reason: ModelFault = "rate_limited" if error.status_code == 429 else "unavailable"
    failure = ModelUnavailable(said, public=public, reason=reason)
    failure.wait_s = _asked_wait_s(error)
    return failure


def _out_of_quota(error: openai.APIStatusError) -> bool:
    return "insufficient_quota" in {error.code, error.type}


def _public(error: openai.APIStatusError) -> str:
    if _out_of_quota(error):
        return "the model's quota is spent"
    if error.status_code in {401, 403}:
        return "the model's endpoint refused the key"
    return {
        400: "the model's endpoint refused the request",
        404: "the model's endpoint knows no such model",
        429: "the model is overloaded",
    }.get(error.status_code, "the model's endpoint failed")


def _asked_wait_s(error: openai.APIStatusError) -> float | None:
    """`retry-after-ms`, or `retry-after` in seconds or as a date; None: nothing readable."""
    headers = error.response.headers
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        return _seconds_until(headers.get("retry-after", ""))


def _seconds_until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
