"""The page's login, and what a caller may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.gateway.access import cookie
from services.gateway.access.authentication import unknown_key
from services.gateway.access.caller import OPEN, Reader
from services.gateway.access.keys import Keys
from services.gateway.access.origin import check_origin
from shared import VERSION
from shared.store.processes.api_keys import Scope

router = APIRouter(tags=["access"])


def keys_of(request: Request) -> Keys:
    keys: Keys = request.app.state.keys
    return keys


class Login(BaseModel):
    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"key": "hk_5f0c2a7d9e31_…"}]}
    )

    key: str = Field(description="A key that 'hutch keys add' has made.", max_length=200)


class Me(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The key's name.", examples=["laptop"])
    scopes: list[Scope] = Field(description="What the key allows.", examples=[["read", "run"]])
    agents: list[str] | None = Field(
        description="The only agents that the key is for; null: all.", examples=[["alice"]]
    )
    open: bool = Field(description="Whether no key is needed.")
    version: str = Field(description="The gateway's version.")


@router.post("/login", status_code=204)
async def login(body: Login, request: Request, keys: Annotated[Keys, Depends(keys_of)]) -> Response:
    """Exchange a key for the page's cookie, which lasts 12 hours."""
    check_origin(request, browser=False)
    key = await keys.valid(body.key.strip())
    if key is None:
        raise unknown_key()
    response = Response(status_code=204)
    # Behind a proxy that ends TLS only the browser knows: the page's script can't change `Origin`.
    secure = request.headers.get("origin", "").lower().startswith("https://")
    cookie.give(response, key, secure=secure)
    return response


@router.post("/logout", status_code=204)
def logout(request: Request) -> Response:
    """Delete the page's cookie."""
    check_origin(request, browser=False)
    response = Response(status_code=204)
    cookie.take_away(response)
    return response


@router.get("/api/me")
def me(caller: Reader) -> Me:
    """Who the caller is, and what they may do."""
    return Me(
        name=caller.name,
        scopes=[scope for scope in Scope if scope in caller.scopes],
        agents=None if caller.agents is None else sorted(caller.agents),
        open=caller == OPEN,
        version=VERSION,
    )
