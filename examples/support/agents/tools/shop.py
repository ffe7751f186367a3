"""A small shop in a SQLite file: orders and refunds. Its data are made up."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from pydantic import Field

FILE = Path(os.environ.get("SHOP_DB", Path(__file__).parents[2] / "shop.db"))

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, customer TEXT, item TEXT, cents INTEGER, state TEXT, ordered TEXT
);
CREATE TABLE IF NOT EXISTS refunds (
    key TEXT PRIMARY KEY, number INTEGER, cents INTEGER, reason TEXT, made TEXT
);
INSERT OR IGNORE INTO orders VALUES
    (1001, 'ann', 'tea kettle', 4500, 'delivered', date('now', '-60 days')),
    (1002, 'ben', 'coffee grinder', 14900, 'delivered', date('now', '-9 days')),
    (1003, 'cleo', 'two cups', 1850, 'delivered', date('now', '-4 days')),
    (1004, 'ben', 'milk jug', 2400, 'shipped', date('now', '-1 days')),
    (1005, 'dan', 'espresso machine', 58000, 'delivered', date('now', '-6 days')),
    (1006, 'dan', 'toaster', 6000, 'delivered', date('now', '-50 days'));
INSERT OR IGNORE INTO refunds VALUES
    ('of 1006', 1006, 6000, 'came back used', date('now', '-40 days'));
"""

Number = Annotated[int, Field(description="the order's number, such as 1002")]


class Order(TypedDict):
    number: int
    customer: str
    item: str
    price: float
    refunded: float
    state: str
    ordered: str


class Refund(TypedDict):
    order: int
    amount: float
    state: Literal["made"]


class Shop:
    """One for each process of an agent; the file is shared by all."""

    def open(self) -> None:
        with self._database() as database:
            database.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")

    def find_order(self, number: Number) -> Order:
        """Returns an order: customer, item, price and refunds in euros, state, day of the order."""
        with self._database() as database:
            return _order(database, number)

    def orders_of(self, customer: str) -> list[Order]:
        """Returns all orders of a customer, by first name, the newest first."""
        query = "SELECT number FROM orders WHERE customer = ? ORDER BY number DESC"
        with self._database() as database:
            found = database.execute(query, [customer.lower()]).fetchall()
            return [_order(database, number) for (number,) in found]

    def refund(
        self,
        order: Number,
        amount: Annotated[float, Field(gt=0, description="in euros")],
        reason: str,
        idempotency_key: str,
    ) -> Refund:
        """Pays money back for an order. It takes effect at once and can't be undone."""
        cents = round(amount * 100)
        with self._database() as database:
            database.execute("BEGIN IMMEDIATE")
            made = database.execute("SELECT 1 FROM refunds WHERE key = ?", [idempotency_key])
            if made.fetchone() is None:  # else this very call was made before
                found = _order(database, order)
                if cents > round((found["price"] - found["refunded"]) * 100):
                    raise ValueError(
                        f"order {order} cost {found['price']}, and {found['refunded']} was refunded"
                    )
                database.execute(
                    "INSERT INTO refunds VALUES (?, ?, ?, ?, date('now'))",
                    [idempotency_key, order, cents, reason],
                )
            database.execute("COMMIT")
        return {"order": order, "amount": amount, "state": "made"}

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(FILE, timeout=10, isolation_level=None)) as database:
            yield database


def _order(database: sqlite3.Connection, number: int) -> Order:
    row = database.execute(
        "SELECT customer, item, cents, state, ordered, "
        "(SELECT total(cents) FROM refunds WHERE refunds.number = orders.number) "
        "FROM orders WHERE number = ?",
        [number],
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no order {number}; ask the customer for the number")
    customer, item, cents, state, ordered, refunded = row
    return {
        "number": number,
        "customer": customer,
        "item": item,
        "price": cents / 100,
        "refunded": refunded / 100,
        "state": state,
        "ordered": ordered,
    }
