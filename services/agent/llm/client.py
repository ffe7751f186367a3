"""A model at an OpenAI-compatible endpoint, asked through the openai package.

The package's retries are off. Errors after which the same request can succeed are retried here,
and raised as `ModelUnavailable` when that doesn't help; any other error is a `ModelError` at once.
`warm` imports the package in a thread: it takes about a second, which would delay a heartbeat.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr
from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt
from tenacity.wait import wait_random_exponential

from services.agent.llm import embeddings, schema_tools
from services.agent.llm.chat import Completion, OnText, Request
from services.agent.llm.errors import (
    FewTries,
    Filtered,
    is_rate_limited,
    is_stale_connection,
    translate_error,
)
from services.agent.llm.fallbacks import fallbacks
from services.agent.llm.rate_limit_headers import exhausted_s
from services.agent.llm.streams import Shown, streamed_reply, whole_reply
from services.agent.llm.wires import WIRES
from shared.contract.messages import Usage
from shared.contract.prompts import ToolProtocol
from shared.definitions.functions import JsonObject
from shared.definitions.model import ModelChoice
from shared.definitions.models.model_address import Key
from shared.definitions.models.narrowing import narrowed
from shared.definitions.models.profiles import Profile, Wire, profile
from shared.errors import ModelError, ModelFault, ModelUnavailable, SettingsError

if TYPE_CHECKING:
    import openai
    from openai import AsyncAPIResponse
    from openai.types.chat import ChatCompletion
    from openai.types.responses import Response

T = TypeVar("T")

ATTEMPT_S = 180.0
"""Seconds for one request: a reasoning model's long answer, or a small machine's slow one."""
TOTAL_S = 540.0
"""Seconds for one call with all its retries: below a run's default limit of 10 minutes."""
ATTEMPTS = 4
FEW_ATTEMPTS = 3
"""The same for errors that are permanent more often than not."""
LONGEST_WAIT_S = 60.0
"""After a request for a longer wait the call fails: waiting here would occupy a slot."""

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 8.0
"""Bounds of a random wait: agents that failed together don't retry together."""

OnFailure = Callable[[ModelFault], None]
"""Called for each failed attempt, also if a later one succeeds."""


def ignore_failure(_: ModelFault) -> None:
    """The default for `OnFailure`."""


class OpenAIModel:
    """One model at one endpoint; calls can run concurrently.

    `tool_protocol` says how tools are offered: natively or as a JSON schema of choices.
    `api_key` is called before each request, so that a key can be changed while the process runs.
    `withheld_headers` are those that the package would take from the environment, but that this
    endpoint must not receive. `choice` is the agent's, for all but name, address and key.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: Key = lambda: None,
        tool_protocol: ToolProtocol = "native",
        attempt_s: float = ATTEMPT_S,
        longest_backoff_s: float = LONGEST_BACKOFF_S,
        on_failure: OnFailure = ignore_failure,
        withheld_headers: Sequence[str] = (),
        choice: ModelChoice = ModelChoice(),  # noqa: B008  # it is frozen
    ) -> None:
        self.name = name
        self.base_url = base_url
        self._api_key = api_key
        self._tool_protocol = tool_protocol
        self._attempt_s = attempt_s
        self._backoff = wait_random_exponential(FIRST_BACKOFF_S, longest_backoff_s)
        self._on_failure = on_failure
        self._withheld_headers = withheld_headers
        self._choice = choice
        self._profile = profile(base_url, name, choice.profile)
        if choice.api != "auto":
            self._profile = replace(self._profile, wire=choice.api)
        url = urlsplit(base_url)
        self._origin = f"{url.netloc.rpartition('@')[2]}{url.path} {name}"
        self._client: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    @property
    def profile(self) -> Profile:
        """What is known about the endpoint, with what its refusals have taught."""
        return self._profile

    @property
    def window(self) -> int | None:
        """The length of the model's context in tokens, if it is known."""
        return self._choice.context or self._profile.context(self.name)

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
        limits = (request.most_tokens, self._choice.max_output_tokens)
        most_tokens = min((it for it in limits if it is not None), default=None)
        schema = request.answer_schema
        if schema is not None:
            schema = narrowed(schema, self._profile.schemas.refused).schema
        request = replace(request, most_tokens=most_tokens, answer_schema=schema)
        try:
            async with asyncio.timeout(TOTAL_S):
                if self._tool_protocol == "schema":
                    return await self._choose(request, on_text)
                return await self._adapted(request, Shown(on_text) if on_text else None)
        except ModelError:
            raise
        except Exception as error:  # such as a history that JSON can't represent
            raise translate_error(error, None) from error

    async def _choose(self, request: Request, on_text: OnText | None) -> Completion:
        """Offer tools as a schema. What is streamed then is a choice, not a text to show."""
        tools = request.tools if request.call_tools else ()
        schema = schema_tools.choice_schema(request.history, tools, request.answer_schema)
        reply = await self._adapted(
            replace(
                request,
                history=schema_tools.render_history(request.history, tools),
                tools=(),
                answer_schema=schema or request.answer_schema,
            ),
            None,
        )
        reply = schema_tools.parse_choice(reply) if schema else reply
        if on_text and reply.content:
            on_text(reply.content)
        return reply

    async def _adapted(self, request: Request, shown: Shown | None) -> Completion:
        """Send it; after a refusal send it as a fallback says, and remember what was taken."""
        current, lasting = self._profile, dict[str, object]()
        streams = shown is not None
        body = self._body(request, current, streams)
        refused = []
        while True:
            try:
                reply = await self._send(body, current, shown, request)
                break
            except ModelError as error:
                refused.append(body)
                for it in fallbacks(body, error):
                    changed = replace(current, **it.change)  # type: ignore[arg-type]  # tested
                    if (other := self._body(request, changed, streams)) not in refused:
                        break
                else:
                    raise
                body, current = other, changed
                lasting |= it.change if it.lasting else {}
        if lasting:
            self._profile = replace(self._profile, **lasting)  # type: ignore[arg-type]  # tested
        return _cut_off(reply, request.most_tokens)

    def _body(self, request: Request, current: Profile, streams: bool) -> JsonObject:
        wire = WIRES[current.wire]
        fields = wire.body(request, self._origin, current, self._choice)
        if streams:
            fields = wire.streamed(fields, current)
        return {"model": self.name, **fields, **self._choice.extra}

    async def _send(
        self, body: JsonObject, current: Profile, shown: Shown | None, request: Request
    ) -> Completion:
        attempts = AsyncRetrying(
            retry=lambda state: _is_worth_retrying(state, request),
            stop=stop_after_attempt(ATTEMPTS),
            wait=self._wait_s,
            before_sleep=lambda state: request.on_retry(_error(state)),
            reraise=True,
        )
        return await attempts(self._attempt, body, current, shown)

    async def embed(self, texts: Sequence[str], within_s: float) -> list[list[float]]:
        """The embeddings of some texts, in their order, by one request without a retry.

        Raises `ModelError` as `complete` does.
        """
        key = None
        try:
            key = self._key()
            await self.warm()
            assert self._client is not None
            ask = partial(embeddings.requested, self._client, self.name, texts, self._headers(key))
            async with asyncio.timeout(within_s):
                return await _on_open_connection(ask)
        except Exception as error:  # noqa: BLE001 - the package raises errors of any kind
            failure = translate_error(error, key)
            self._on_failure(failure.reason)
            raise failure from (None if failure is error else error)

    def _wait_s(self, state: RetryCallState) -> float:
        error = _error(state)
        if isinstance(error, ModelUnavailable) and error.wait_s is not None:
            return error.wait_s * random.uniform(1.0, 1.25)
        return self._backoff(state)

    async def _attempt(self, body: JsonObject, current: Profile, shown: Shown | None) -> Completion:
        key = None
        try:
            key = self._key()
            await self.warm()
            async with asyncio.timeout(self._attempt_s):
                reply, wait_s = await _on_open_connection(
                    lambda: self._exchange(body, current, key, shown)
                )
            completion = WIRES[current.wire].parsed(reply, self._origin)
            if wait_s is not None:
                completion = completion.model_copy(update={"exhausted_s": wait_s})
            if shown:
                shown.end(completion.content)
            return completion
        except Exception as error:  # noqa: BLE001 - the package raises errors of any kind
            failure = translate_error(error, key)
            if isinstance(failure, Filtered):
                return Completion(finish_reason="content_filter", usage=Usage(model_calls=1))
            self._on_failure(failure.reason)
            raise failure from (None if failure is error else error)

    async def _exchange(
        self, body: JsonObject, current: Profile, key: SecretStr | None, shown: Shown | None
    ) -> tuple[JsonObject, float | None]:
        """One request and its reply as JSON, put together if it came as a stream; and for how long
        the endpoint takes no other one, if it says so."""
        wire = WIRES[current.wire]
        if shown:
            shown.begin()
        async with self._post(current.wire, body, self._headers(key)) as response:
            kind = response.headers.get("content-type", "")
            if shown and "event-stream" in kind:
                reply = await streamed_reply(response.iter_bytes(), wire.assembly(), shown)
            else:
                reply = whole_reply(await response.read(), wire.assembly())
            return reply, exhausted_s(response.headers)

    def _post(
        self, wire: Wire, body: JsonObject, headers: dict[str, str | openai.Omit]
    ) -> AbstractAsyncContextManager[AsyncAPIResponse[Response] | AsyncAPIResponse[ChatCompletion]]:
        """The package's call for a wire, its own parameters overridden by `body`."""
        assert self._client is not None
        if wire == "responses":
            return self._client.responses.with_streaming_response.create(
                extra_body=body, extra_headers=headers
            )
        return self._client.chat.completions.with_streaming_response.create(
            model=self.name, messages=(), extra_body=body, extra_headers=headers
        )

    def _headers(self, key: SecretStr | None) -> dict[str, str | openai.Omit]:
        import openai

        from services.agent.llm.transport import NO_KEY

        word = key.get_secret_value() if key else NO_KEY
        own: dict[str, str | openai.Omit] = {"Authorization": f"Bearer {word}"}
        if self._profile.key_header == "api-key":
            own = {"Authorization": openai.omit, "api-key": word}
        return {**dict.fromkeys(self._withheld_headers, openai.omit), **own}

    def _key(self) -> SecretStr | None:
        try:
            return self._api_key()
        except SettingsError as error:  # its file may be being replaced
            public = "the model's key can't be read"
            raise ModelUnavailable(str(error), public=public, reason="unavailable") from error

    def _open(self) -> openai.AsyncOpenAI:
        from services.agent.llm.transport import opened_client

        client = opened_client(self.base_url, self._attempt_s)
        resource = client.responses if self._profile.wire == "responses" else client.chat
        resource.with_streaming_response  # noqa: B018 - imported on first use
        self.window  # noqa: B018 - its patterns are compiled on first use
        return client


def _cut_off(reply: Completion, limit: int | None) -> Completion:
    """Some endpoints report a reply that was cut off at the limit as whole. Others ignore the
    limit: their longer texts are whole, but a call beyond it is not run.
    """
    used = reply.usage.output_tokens
    if limit is None or used < limit or (used > limit and not reply.tool_calls):
        return reply
    return reply.model_copy(update={"finish_reason": "length"})


async def _on_open_connection(exchange: Callable[[], Awaitable[T]]) -> T:
    """An exchange, made again if the endpoint had closed the kept connection before."""
    try:
        return await exchange()
    except Exception as error:
        if not is_stale_connection(error):
            raise
    return await exchange()


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _is_worth_retrying(state: RetryCallState, request: Request) -> bool:
    error = _error(state)
    if is_rate_limited(error) and not request.retry_rate_limits:
        return False
    if isinstance(error, FewTries):
        return state.attempt_number < FEW_ATTEMPTS
    return isinstance(error, ModelUnavailable) and (error.wait_s or 0.0) <= LONGEST_WAIT_S
