"""A model at an OpenAI-compatible endpoint; the only module that uses the openai package.

The package's retries are off. Errors after which the same request can succeed are retried here,
and raised as `ModelUnavailable` when that doesn't help; any other error is a `ModelError` at once.
`warm` imports the package in a thread: it takes about a second, which would delay a heartbeat.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue, SecretStr
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from services.agent.llm import completions, schema_tools
from services.agent.llm.chat import ChatMessage, Completion, OnText, Request
from services.agent.llm.completions import RETRYABLE, parse_reply
from services.agent.llm.profiles import NO_REASONING, profile
from services.agent.llm.retry_after import retry_after_s
from shared.contract.prompts import ToolProtocol
from shared.contract.rows import storable
from shared.definitions.functions import JsonObject
from shared.errors import ModelError, ModelFault, ModelUnavailable, SettingsError
from shared.settings.environment import network, network_fault

if TYPE_CHECKING:
    import openai

NO_KEY = "none"
"""Sent to endpoints without keys: the package requires one."""
CONNECT_S = 5.0
ATTEMPT_S = 180.0
"""Seconds for one request: a reasoning model's long answer, or a small machine's slow one."""
TOTAL_S = 540.0
"""Seconds for one call with all its retries: below a run's default limit of 10 minutes."""
ATTEMPTS = 4
LONGEST_WAIT_S = 60.0
"""After a request for a longer wait the call fails: waiting here would occupy a slot."""
MAX_DETAIL_CHARS = 500

_backoff_s = wait_random_exponential(multiplier=0.5, max=8)
"""Full jitter: agents that failed together don't retry together."""

Key = Callable[[], SecretStr | None]
"""Returns the API key; raises `SettingsError` if it can't be read now."""

OnFailure = Callable[[ModelFault], None]
"""Called for each failed attempt, also if a later one succeeds."""


def ignore_failure(_: ModelFault) -> None:
    """The default for `OnFailure`."""


class OpenAIModel:
    """One model at one endpoint; calls can run concurrently.

    `tool_protocol` says how tools are offered: natively or as a JSON schema of choices.
    `api_key` is called before each request, so that a key can be changed while the process runs.
    `withheld_headers` are those that the package would take from the environment, but that this
    endpoint must not receive.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: Key = lambda: None,
        tool_protocol: ToolProtocol = "native",
        attempt_s: float = ATTEMPT_S,
        on_failure: OnFailure = ignore_failure,
        withheld_headers: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.base_url = base_url
        self._api_key = api_key
        self._tool_protocol = tool_protocol
        self._attempt_s = attempt_s
        self._on_failure = on_failure
        self._withheld_headers = withheld_headers
        self._profile = profile(base_url)
        self._with_tools: JsonObject = {}
        """Fields that a request with tools needs as well, learnt from a refusal."""
        self._client: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    async def warm(self) -> None:
        """Do the slow part of the first call in advance, without contacting the endpoint.

        Raises `SettingsError` if the environment's proxies or certificates make calls impossible.
        """
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._open)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        """See `Model.complete`. With its retries the call takes at most `TOTAL_S`."""
        reply = await self._complete(request)
        if on_text and reply.content:
            on_text(reply.content)
        return reply

    async def _complete(self, request: Request) -> Completion:
        history, most_tokens = request.history, request.most_tokens
        tools = request.tools if request.call_tools else ()
        try:
            if self._tool_protocol == "native":
                fields = completions.tools_field(tools)
                return await self._send_adapted(fields, history, most_tokens)
            fields = schema_tools.response_format(history, tools, request.answer_schema)
            rendered = schema_tools.render_history(history, tools)
            reply = await self._send_adapted(fields, rendered, most_tokens)
            return schema_tools.parse_choice(reply) if fields else reply
        except ModelError:
            raise
        except Exception as error:  # such as a history that JSON can't represent
            raise translate_error(error, None) from error

    async def _send_adapted(
        self, fields: JsonObject, history: Sequence[ChatMessage], most_tokens: int | None
    ) -> Completion:
        """Try other fields where the endpoint refuses one by name and an alternative is known."""
        sent = fields | completions.limit_field(most_tokens, self._profile)
        if "tools" in fields:
            sent |= self._with_tools
        while True:
            try:
                reply = await self._send(sent, history)
                break
            except ModelError as error:
                if error.reason != "refused":
                    raise
                fallback = completions.fallback_fields(sent, str(error), self._profile)
                if fallback is None:
                    raise
                sent = fallback
        if "tools" in fields:
            self._with_tools = {key: sent[key] for key in NO_REASONING if key in sent}
        return reply

    async def _send(self, fields: JsonObject, history: Sequence[ChatMessage]) -> Completion:
        messages: list[JsonValue] = [
            completions.message_fields(message, self._profile) for message in history
        ]
        body = {"model": self.name, "messages": messages, **fields}
        attempts = AsyncRetrying(
            retry=retry_if_exception(_is_worth_retrying),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait_s,
            reraise=True,
        )
        try:
            async with asyncio.timeout(TOTAL_S):
                return await attempts(self._attempt, body)
        except TimeoutError as error:
            raise translate_error(error, None) from error

    async def _attempt(self, body: JsonObject) -> Completion:
        key = None
        try:
            key = self._key()
            await self.warm()
            import openai

            assert self._client is not None
            bearer = f"Bearer {key.get_secret_value() if key else NO_KEY}"
            async with asyncio.timeout(self._attempt_s):
                reply = await self._client.chat.completions.with_raw_response.create(
                    model=self.name,
                    messages=(),  # as is the model, overridden by `body`, which goes out as it is
                    extra_body=body,
                    extra_headers={
                        **dict.fromkeys(self._withheld_headers, openai.omit),
                        "Authorization": bearer,
                    },
                )
            return parse_reply(reply.content)
        except Exception as error:  # noqa: BLE001 - the package raises errors of any kind
            failure = translate_error(error, key)
            self._on_failure(failure.reason)
            raise failure from (None if failure is error else error)

    def _key(self) -> SecretStr | None:
        try:
            return self._api_key()
        except SettingsError as error:  # its file may be being replaced
            public = "the model's key can't be read"
            raise ModelUnavailable(str(error), public=public, reason="unavailable") from error

    def _open(self) -> openai.AsyncOpenAI:
        import openai

        from services.agent.llm.transport import limit_size

        if fault := network_fault():
            raise SettingsError(fault)
        try:
            client = openai.AsyncOpenAI(
                api_key=NO_KEY,
                base_url=self.base_url,
                timeout=openai.Timeout(self._attempt_s, connect=CONNECT_S),
                max_retries=0,
                http_client=openai.DefaultAsyncHttpxClient(
                    headers={"Accept-Encoding": "identity"},
                    event_hooks={"response": [limit_size]},
                    follow_redirects=False,  # headers and texts would go to other hosts
                ),
            )
            client.chat.completions.with_raw_response  # noqa: B018 - imported on first use
            return client
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise SettingsError(
                f"no connection to the model at {self.base_url} can be made with {network()}: "
                f"{type(error).__name__}: {reason}"
            ) from error


def _is_worth_retrying(error: BaseException) -> bool:
    return isinstance(error, ModelUnavailable) and (error.wait_s or 0.0) <= LONGEST_WAIT_S


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ModelUnavailable) and error.wait_s is not None:
        return error.wait_s * random.uniform(1.0, 1.25)
    return _backoff_s(state)


def translate_error(error: Exception, api_key: SecretStr | None) -> ModelError:
    """The `ModelError` for any error of a call; its texts never contain the key."""
    import openai

    match error:
        case ModelError():
            error.args = (_detail(error, api_key),)
            return error
        case SettingsError():  # the client could not be made
            public = "the model can't be reached"
            return ModelUnavailable(str(error), public=public, reason="unavailable")
        case openai.APIStatusError():
            return _status_error(error, _detail(error, api_key))
        case openai.APITimeoutError() | TimeoutError():
            why = "the model did not answer in time"
            return ModelUnavailable(why, public="the model timed out", reason="timeout")
        case openai.APIConnectionError() | OSError():
            cause = _detail(error.__cause__ or error, api_key)
            why = f"the model's endpoint can't be reached: {cause}"
            return ModelUnavailable(why, public="the model can't be reached", reason="unavailable")
    return ModelError(f"{type(error).__name__}: {_detail(error, api_key)}")


def _detail(error: BaseException, api_key: SecretStr | None) -> str:
    """The error's text without the key, storable and cut."""
    key = api_key.get_secret_value() if api_key else ""
    text = storable(str(error))
    return (text.replace(key, "***") if key else text)[:MAX_DETAIL_CHARS]


def _status_error(error: openai.APIStatusError, detail: str) -> ModelError:
    text, public = f"the model's endpoint said {detail}", _public_text(error)
    if 300 <= error.status_code < 400:
        to = error.response.headers.get("location", "an unnamed address")
        text = f"the model's endpoint redirects to {to}: if that is right, name it as the base URL"
        return ModelError(text[:MAX_DETAIL_CHARS], public=public, reason="refused")
    if _is_out_of_quota(error):
        return ModelError(text, public=public, reason="quota")
    if error.status_code not in RETRYABLE and error.status_code < 500:
        return ModelError(text, public=public, reason="refused")
    reason: ModelFault = "rate_limited" if error.status_code == 429 else "unavailable"
    failure = ModelUnavailable(text, public=public, reason=reason)
    failure.wait_s = retry_after_s(error.response.headers)
    return failure


def _is_out_of_quota(error: openai.APIStatusError) -> bool:
    return "insufficient_quota" in (error.code, error.type)


def _public_text(error: openai.APIStatusError) -> str:
    if _is_out_of_quota(error):
        return "the model's quota is spent"
    if error.status_code in {401, 403}:
        return "the model's endpoint refused the key"
    return {
        400: "the model's endpoint refused the request",
        404: "the model's endpoint knows no such model",
        429: "the model is overloaded",
    }.get(error.status_code, "the model's endpoint failed")
