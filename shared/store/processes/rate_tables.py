"""The tables of shared limits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table

from shared.store.schema import metadata

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("cooled_until", Float(53), nullable=False),
    Column("strikes", Integer, nullable=False),
)
"""Models whose endpoint has asked all processes to wait; `strikes` counts such requests since the
last call that succeeded."""

rate_leases = Table(
    "rate_leases",
    metadata,
    Column("lease_id", String(32), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("agent", String(40), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("granted_at", Float(53), nullable=False),
    Column("requests", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("returned_at", Float(53)),
    sqlite_with_rowid=False,
)
"""Calls of models with shared limits: those in progress, and those of the last minute."""

Index("rate_leases_window", rate_leases.c.model, rate_leases.c.granted_at)

rate_waits = Table(
    "rate_waits",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("agent", String(40), nullable=False),
    Column("priority", String(11), nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("since", Float(53), nullable=False),
    Column("until", Float(53), nullable=False),
    Column("reason", String(200), nullable=False),
    sqlite_with_rowid=False,
)
"""Runs that wait for a shared limit of a model. `until` is when the run asks again; one that hasn't
asked some seconds later is passed over until it does."""

Index("rate_waits_model", rate_waits.c.model)
