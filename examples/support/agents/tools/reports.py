"""The answers of the workers: Hutch checks each answer against its agent's class."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Order(BaseModel):
    number: int
    customer: str
    item: str
    price: float
    refunded: float
    state: str
    ordered: str


class Stock(BaseModel):
    item: str
    pieces: int


class Risk(BaseModel):
    risk: Literal["low", "high"]
    reason: str


class Refund(BaseModel):
    order: int
    amount: float
    state: Literal["made", "denied"]
    reason: str
