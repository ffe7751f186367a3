"""`/v1/models`: the agents, as the models that OpenAI's clients can choose from."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.gateway.access.caller import Reader
from services.gateway.gateway import Gateway, SharedGateway
from services.gateway.openai.tasks import unknown_model

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class Model(BaseModel):
    """An agent."""

    id: str = Field(description="the agent's name", examples=["alice"])
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: Literal["hutch"] = "hutch"
    description: str = ""


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models", summary="List the agents")
async def list_models(gateway: SharedGateway, caller: Reader) -> Models:
    """The agents that the key may use, by name."""
    names = sorted(name for name in gateway.folder.names if caller.sees(name))
    return Models(data=[_model(gateway, name) for name in names])


@router.get("/models/{model}", summary="Show an agent")
async def get_model(model: str, gateway: SharedGateway, caller: Reader) -> Model:
    if model not in gateway.folder.names or not caller.sees(model):
        raise unknown_model(model)
    return _model(gateway, model)


def _model(gateway: Gateway, name: str) -> Model:
    described = gateway.folder.described.get(name)
    return Model(id=name, description=described.description if described else "")
