"""Any OpenAI-compatible endpoint as a model: the only file that knows the API or its package.

One owner of a call's retries: the package's are off; what can succeed later is tried again here,
and is a `ModelUnavailable` when that doesn't help; all else is a `ModelError` at once. The
package is imported by `warm`, in a thread: that takes about a second, which no heartbeat can spare.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue, SecretStr
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from services.agent.llm import completions, schema_tools
from services.agent.llm.chat import ChatMessage, Completion, ToolSpec, storable
from services.agent.llm.completions import PASSING, completion
from services.agent.llm.profiles import NO_REASONING, profile
from services.agent.llm.retry_after import asked_wait_s
from shared.definitions.functions import JsonObject
from shared.errors import ModelError, ModelFault, ModelUnavailable, SettingsError
from shared.settings.environment import network, network_fault

if TYPE_CHECKING:
    import openai

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
MAX_DETAIL_CHARS = 500

_backoff_s = wait_random_exponential(multiplier=0.5, max=8)
"""Full jitter: agents that failed together don't come back together."""

Key = Callable[[], SecretStr | None]
"""Raises `SettingsError` when the key can't be read now."""

Failed = Callable[[ModelFault], None]
"""Hears of each attempt that failed, those that a later one made up for too."""


def unheard(_: ModelFault) -> None:
    """For those who count nothing."""


class OpenAIModel:
    """One model at one endpoint; calls may run side by side.

    `tool_protocol` says how tools are offered: natively, or as a JSON schema of choices.
    `api_key` is asked before each request, so that a key can be changed meanwhile. `withheld` are
    headers that the package would send by the environment, though this endpoint must not get them.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: Key = lambda: None,
        tool_protocol: Literal["native", "schema"] = "native",
        attempt_s: float = ATTEMPT_S,
        failed: Failed = unheard,
        withheld: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.base_url = base_url
        self._api_key = api_key
        self._tool_protocol = tool_protocol
        self._attempt_s = attempt_s
        self._failed = failed
        self._withheld = withheld
        self._profile = profile(base_url)
        self._with_tools: JsonObject = {}
        """What a request that offers tools needs besides, as a refusal has taught."""
        self._client: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    async def warm(self) -> None:
        """Does the slow part of the first call before it; needs no endpoint.

        Raises `SettingsError` when the environment's proxies or certificates allow no call.
        """
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
        try:
            if self._tool_protocol == "native":
                return await self._send_adapted(completions.offered(tools), history, most_tokens)
            choices = schema_tools.response_format(history, tools)
            rendered = schema_tools.rendered(history, tools)
            reply = await self._send_adapted(choices, rendered, most_tokens)
            return schema_tools.chosen(reply) if choices else reply
        except ModelError:
            raise
        except Exception as error:  # such as a history that no JSON can carry
            raise translated(error, None) from error

    async def _send_adapted(
        self, fields: JsonObject, history: Sequence[ChatMessage], most_tokens: int | None
    ) -> Completion:
        """Sent otherwise where the endpoint refuses a field by name and another way is known."""
        sent = fields | completions.limited(most_tokens, self._profile)
        if "tools" in fields:
            sent |= self._with_tools
        while True:
            try:
                reply = await self._send(sent, history)
                break
            except ModelError as error:
                other = None
                if error.reason == "refused":
                    other = completions.instead(sent, str(error), self._profile)
                if other is None:
                    raise
                sent = other
        if "tools" in fields:
            self._with_tools = {key: sent[key] for key in NO_REASONING if key in sent}
        return reply

    async def _send(self, fields: JsonObject, history: Sequence[ChatMessage]) -> Completion:
        messages: list[JsonValue] = [
            completions.message(message, self._profile) for message in history
        ]
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
        key = None
        try:
            key = self._key()
            return completion(await self._post(body, key))
        except Exception as error:  # noqa: BLE001 - the package raises errors of any kind
            failure = translated(error, key)
            self._failed(failure.reason)
            raise failure from (None if failure is error else error)

    async def _post(self, body: JsonObject, key: SecretStr | None) -> bytes:
        await self.warm()
        import httpx2
        import openai

        assert self._client is not None
        bearer = f"Bearer {key.get_secret_value() if key else NO_KEY}"
        withheld = dict.fromkeys(self._withheld, openai.Omit())
        async with asyncio.timeout(self._attempt_s):
            reply = await self._client.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=body,
                options={"headers": {**withheld, "Authorization": bearer}},
            )
        return reply.content

    def _key(self) -> SecretStr | None:
        try:
            return self._api_key()
        except SettingsError as error:  # its file may be on its way
            public = "the model's key can't be read"
            raise ModelUnavailable(str(error), public=public, reason="unavailable") from error

    def _open(self) -> openai.AsyncOpenAI:
        import openai

        from services.agent.llm.transport import bounded

        if fault := network_fault():
            raise SettingsError(fault)
        try:
            return openai.AsyncOpenAI(
                api_key=NO_KEY,
                base_url=self.base_url,
                timeout=openai.Timeout(self._attempt_s, connect=CONNECT_S),
                max_retries=0,
                http_client=openai.DefaultAsyncHttpxClient(
                    headers={"Accept-Encoding": "identity"},
                    event_hooks={"response": [bounded]},
                    follow_redirects=False,  # they would take headers and texts to other hosts
                ),
            )
        except Exception as error:
            said = str(error).partition("\n")[0]
            raise SettingsError(
                f"no connection to the model at {self.base_url} can be made with {network()}: "
                f"{type(error).__name__}: {said}"
            ) from error


def _is_soon_over(error: BaseException) -> bool:
    return isinstance(error, ModelUnavailable) and (error.wait_s or 0.0) <= LONGEST_WAIT_S


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ModelUnavailable) and error.wait_s is not None:
        return error.wait_s * random.uniform(1.0, 1.25)
    return _backoff_s(state)


def translated(error: Exception, api_key: SecretStr | None) -> ModelError:
    """What any error of a call means here; the key stands in none of the texts."""
    import httpx2
    import openai

    match error:
        case ModelError():
            error.args = (_detail(error, api_key),)
            return error
        case SettingsError():  # of a client that could not be made
            public = "the model can't be reached"
            return ModelUnavailable(str(error), public=public, reason="unavailable")
        case openai.APIStatusError():
            return _of_status(error, _detail(error, api_key))
        case openai.APITimeoutError() | TimeoutError() | httpx2.TimeoutException():
            why = "the model did not answer in time"
            return ModelUnavailable(why, public="the model timed out", reason="timeout")
        case openai.APIConnectionError() | httpx2.TransportError() | OSError():
            cause = _detail(error.__cause__ or error, api_key)
            why = f"the model's endpoint can't be reached: {cause}"
            return ModelUnavailable(why, public="the model can't be reached", reason="unavailable")
    return ModelError(f"{type(error).__name__}: {_detail(error, api_key)}")


def _detail(error: BaseException, api_key: SecretStr | None) -> str:
    """Its text without the key, cut, and such that a store takes it."""
    key = api_key.get_secret_value() if api_key else ""
    text = str(storable(str(error)))
    return (text.replace(key, "***") if key else text)[:MAX_DETAIL_CHARS]


def _of_status(error: openai.APIStatusError, detail: str) -> ModelError:
    said, public = f"the model's endpoint said {detail}", _public(error)
    if 300 <= error.status_code < 400:
        to = error.response.headers.get("location", "an unnamed address")
        said = f"the model's endpoint redirects to {to}: if that is right, name it as the base URL"
        return ModelError(said[:MAX_DETAIL_CHARS], public=public, reason="refused")
    if _out_of_quota(error):
        return ModelError(said, public=public, reason="quota")
    if error.status_code not in PASSING and error.status_code < 500:
        return ModelError(said, public=public, reason="refused")
    reason: ModelFault = "rate_limited" if error.status_code == 429 else "unavailable"
    failure = ModelUnavailable(said, public=public, reason=reason)
    failure.wait_s = asked_wait_s(error.response.headers)
    return failure


def _out_of_quota(error: openai.APIStatusError) -> bool:
    return "insufficient_quota" in (error.code, error.type)


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
