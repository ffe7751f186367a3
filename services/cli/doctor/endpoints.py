"""The endpoints of the agents' models: whether they answer, take the key and have the model.

Each is asked for its list of models, which costs nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from services.cli.doctor.finding import Area, Finding, advice, fault, not_seen
from shared.definitions.model import Definition, Definitions
from shared.definitions.model_address import model_address, with_embedding_model
from shared.definitions.profiles import profile
from shared.errors import SettingsError
from shared.settings.environment import Settings
from shared.settings.secrets import secret, shown_url

ANSWER_S = 10.0
MOST_BYTES = 4 * 1024 * 1024
REFUSED = {401, 403}


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an answer: following it would send the key to another place."""

    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class _Endpoint:
    url: str
    headers: tuple[tuple[str, str], ...]
    variable: str
    """The variable that the key comes from."""


async def endpoint_findings(settings: Settings, agents: Definitions) -> list[Finding]:
    models: dict[_Endpoint, set[str]] = {}
    found: list[Finding] = []
    without: list[str] = []
    embedding = filter(None, map(with_embedding_model, agents.values()))
    for agent in (*agents.values(), *embedding):
        variable = agent.model.api_key_env
        try:
            if variable is not None and secret(variable) is None:
                found.append(
                    advice(
                        Area.ENDPOINTS,
                        f"'{agent.name}' wants its key from {variable}, which is not set here",
                        "set it where the agent starts: its process ends at once without it",
                    )
                )
                continue
            endpoint = _endpoint(agent, settings)
        except SettingsError as error:
            found.append(
                fault(
                    Area.ENDPOINTS,
                    str(error),
                    "set it where the agents start, and here for this check",
                )
            )
            continue
        if endpoint is None:
            without.append(agent.name)
            continue
        models.setdefault(endpoint, set()).add(agent.model.name or settings.model or "")
    if without:
        found.append(
            not_seen(
                Area.ENDPOINTS,
                f"the models of {', '.join(sorted(set(without)))}: neither OPENAI_API_KEY nor "
                "OPENAI_BASE_URL is set here",
                "run this with the agents' environment",
            )
        )
    checks = [asyncio.to_thread(_check, endpoint, names) for endpoint, names in models.items()]
    return [*found, *(it for done in await asyncio.gather(*checks) for it in done)]


def _endpoint(agent: Definition, settings: Settings) -> _Endpoint | None:
    """None if the agent has no model here. Raises `SettingsError` as `model_address` does."""
    choice = agent.model
    if not (choice.base_url or choice.api_key_env or settings.base_url or settings.key()):
        return None
    address = model_address(agent, settings)
    ours = settings.gets_our_key(choice.base_url, choice.api_key_env)
    headers = dict(_account(settings)) if ours else {}
    if (key := address.key()) is not None:
        name = profile(address.base_url, address.name, choice.profile).key_header
        word = key.get_secret_value()
        headers |= {name: word} if name == "api-key" else {"Authorization": f"Bearer {word}"}
    parts = urlsplit(address.base_url)
    url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/models"))
    return _Endpoint(url, tuple(headers.items()), choice.api_key_env or "OPENAI_API_KEY")


def _account(settings: Settings) -> Iterator[tuple[str, str]]:
    """The headers that the settings add for their endpoint."""
    if settings.organization:
        yield "OpenAI-Organization", settings.organization
    if settings.project:
        yield "OpenAI-Project", settings.project
    lines = settings.custom_headers.get_secret_value() if settings.custom_headers else ""
    for line in lines.split("\n"):
        name, _, value = line.partition(":")
        if value:
            yield name.strip(), value.strip()


def _check(it: _Endpoint, names: set[str]) -> list[Finding]:
    """Ask one endpoint; `names` are the models that agents want from it."""
    where = shown_url(it.url.removesuffix("/models"))
    try:
        request = Request(it.url, headers={**dict(it.headers), "User-Agent": "hutch"})
        with build_opener(_NoRedirect).open(request, timeout=ANSWER_S) as reply:
            listed = _listed(reply.read(MOST_BYTES))
    except HTTPError as error:
        with error:
            return list(_refusal(where, it.variable, error.code))
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return [
            fault(
                Area.ENDPOINTS,
                f"the endpoint {where} does not answer here: {reason}",
                "start it, or correct OPENAI_BASE_URL, 'model.base_url' in the agent's file, the "
                "proxy or the certificates",
            )
        ]
    missing = sorted(names - listed - {""}) if listed else []
    return [
        advice(
            Area.ENDPOINTS,
            f"the endpoint {where} does not list the model '{name}'",
            f"correct OPENAI_MODEL or the agent's file; it lists {', '.join(sorted(listed)[:5])}",
        )
        for name in missing
    ]


def _refusal(where: str, variable: str, code: int) -> Iterator[Finding]:
    if code in REFUSED:
        yield fault(
            Area.ENDPOINTS,
            f"the endpoint {where} refuses the key ({code})",
            f"correct {variable}, or its rights at the provider",
        )
    elif code >= 500 or code == 429:
        yield fault(
            Area.ENDPOINTS,
            f"the endpoint {where} answers {code}",
            "wait: runs are postponed and continue; see docs/operations.md#the-provider-is-down",
        )
    # Any other answer comes from an endpoint that has no list of models.


def _listed(body: bytes) -> set[str]:
    """The names of the models in the list; empty if it has another form."""
    try:
        return {str(it["id"]) for it in json.loads(body)["data"]}
    except (ValueError, KeyError, TypeError):
        return set()
