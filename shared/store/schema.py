"""The tables. Times are seconds since the epoch by the store's own clock (`now_s`).

Texts of people and models are stored as JSON in text columns: JSON escapes NUL, which PostgreSQL
refuses in text.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    literal_column,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from shared.contract.priority import Priority

REVISION = "0014"
"""The newest migration; a process refuses a store with another revision."""

metadata = MetaData()
SERIAL = BigInteger().with_variant(Integer, "sqlite")


INTEGER_MAX = 2**31 - 1
"""The largest value of an `Integer`. A damaged row may hold it, and adding one would then fail."""

LATEST_S = 253402300799.0
"""The last second of the year 9999, the latest time that Python can represent."""


class RunState(StrEnum):
    DUE = "due"
    RUNNING = "running"
    WAITING = "waiting"
    PARKED = "parked"
    """It waits for a person's approval, or for a worker that does: it has no process."""
    ENDED = "ended"


class now_s(FunctionElement[float]):  # noqa: N801 - it is a SQL function
    """The store's clock, so that replicas on machines with different clocks agree."""

    type = Float()
    inherit_cache = True


@compiles(now_s, "postgresql")
def _now_postgresql(element: now_s, compiler: SQLCompiler, **kw: Any) -> str:
    return "extract(epoch from clock_timestamp())"


@compiles(now_s, "sqlite")
def _now_sqlite(element: now_s, compiler: SQLCompiler, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


identity = Table("store", metadata, Column("id", String(32), primary_key=True))

instances = Table(
    "instances",
    metadata,
    Column("instance", String(64), primary_key=True),
    Column("agent", String(40), nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("started_at", Float(53), nullable=False),
)

definitions = Table(
    "definitions",
    metadata,
    Column("hash", String(32), primary_key=True),
    Column("body", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("agent", String(40), nullable=False),
    Column("task_id", String(128), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("message", Text, nullable=False),
    Column("definition", String(32), ForeignKey("definitions.hash"), nullable=False),
    Column("notes", Text, nullable=False),
    Column("root_id", String(128), nullable=False),
    Column("parent_id", String(128)),
    Column("deadline_at", Float(53), nullable=False),
    Column("state", String(8), nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("owner", String(64)),
    Column("fence", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("epoch", Integer, nullable=False),
    Column("claimed_at", Float(53), nullable=False),
    Column("ended_at", Float(53)),
    Column("status", String(10)),
    Column("response", Text),
    Column("detail", Text),
    Column("session", String(128)),
    Column("session_place", Integer),
    Column("recalled", Text),
    Column("nonce", String(16), nullable=False, server_default=""),
    Column("priority", String(11), nullable=False, server_default=Priority.INTERACTIVE.value),
    Column("parked_at", Float(53)),
    Column("parked_s", Float(53), nullable=False, server_default="0"),
)
"""`nonce` is a random part of the ids of the run's calls, drawn at the claim, so that other clients
can't guess them. It is empty in runs of earlier versions, whose calls keep their ids.

`parked_at` is when the run was last parked, `parked_s` how long it was parked in all: its deadline
is so much later."""

ACTIVE = and_(runs.c.ended_at.is_(None), runs.c.state != literal_column("'parked'"))
"""The condition that a run is open and not parked. It is written out, so that its index is used: a
poll reads all active runs of an agent, and none of the thousands that can be parked."""
Index("runs_active", runs.c.agent, runs.c.due_at, postgresql_where=ACTIVE, sqlite_where=ACTIVE)
PARKED = runs.c.state == literal_column("'parked'")
Index("runs_parked", runs.c.agent, runs.c.parked_at, postgresql_where=PARKED, sqlite_where=PARKED)
_ENDED = text("ended_at IS NOT NULL")
Index("runs_ended", runs.c.agent, runs.c.ended_at, postgresql_where=_ENDED, sqlite_where=_ENDED)
"""Without open runs: SQLite would read it for them in place of `runs_active`."""
Index("runs_root", runs.c.root_id)
Index("runs_claimed", runs.c.claimed_at, runs.c.run_id)
_IN_SESSION = text("session IS NOT NULL")
Index(
    "runs_session",
    runs.c.session,
    runs.c.agent,
    runs.c.session_place,
    postgresql_where=_IN_SESSION,
    sqlite_where=_IN_SESSION,
)
_OPEN_IN_SESSION = text("session IS NOT NULL AND ended_at IS NULL")
Index(
    "runs_session_open",
    runs.c.session,
    runs.c.agent,
    runs.c.ended_at,
    postgresql_where=_OPEN_IN_SESSION,
    sqlite_where=_OPEN_IN_SESSION,
)
"""Each poll reads it for every run that waits for its turn, so it must not contain ended runs.
SQLite prefers it because of its last column."""

steps = Table(
    "steps",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("name", String(200), nullable=False),
    Column("output", Text, nullable=False),
    Column("finished_at", Float(53), nullable=False),
    Column("seconds", Float(53)),
    sqlite_with_rowid=False,
)
"""`seconds` is how long the step took in the process that finished it; NULL: not known."""

marks = Table(
    "marks",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("instance", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float(53), nullable=False),
    sqlite_with_rowid=False,
)
"""What happened to a run between its steps, in order: for its timeline only."""

files = Table(
    "files",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("media_type", String(128), nullable=False),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("kept_at", Float(53), nullable=False),
)
"""Files in the results of a run's tools. `digest` is the SHA-256 of the content in hexadecimal."""

requesters = Table(
    "requesters",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("reply_to", String(255), primary_key=True),
    Column("correlation_id", String(255), primary_key=True),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("run_id", String(32), nullable=False),
    Column("agent", String(40), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("exchange", String(255), nullable=False),
    Column("routing_key", String(255), nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("correlation_id", String(255)),
    Column("body", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("undeliverable_at", Float(53)),
    sqlite_autoincrement=True,  # a reused number could delete another message's row
)
_UNSENT = text("undeliverable_at IS NULL")
Index("outbox_unsent", outbox.c.agent, postgresql_where=_UNSENT, sqlite_where=_UNSENT)

notes = Table(
    "notes",
    metadata,
    Column("agent", String(40), primary_key=True),
    Column("message_id", String(255), primary_key=True),
    Column("peer", String(40), nullable=False),
    Column("body", Text, nullable=False),
    Column("heard_at", Float(53), nullable=False),
)

ticks = Table(
    "ticks",
    metadata,
    Column("tick_id", String(128), primary_key=True),
    Column("agent", String(40), nullable=False),
    Column("schedule", String(40), nullable=False),
    Column("nominal_at", Float(53), nullable=False),
    Column("decided_at", Float(53), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("message", Text),
    Column("tried_at", Float(53)),
    Column("message_id", String(128)),
)
"""`message_id` is the id of the tick's message, with a random part that other clients can't guess.
It is NULL in rows of earlier versions, whose messages have the `tick_id` as their id."""

Index("ticks_by_schedule", ticks.c.agent, ticks.c.schedule, ticks.c.nominal_at)
_SENDING = text("outcome = 'sending'")
Index("ticks_sending", ticks.c.tried_at, postgresql_where=_SENDING, sqlite_where=_SENDING)

starts = Table(
    "starts",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("started_at", Float(53), nullable=False),
    sqlite_with_rowid=False,
)
"""The starts of tool calls that must not be made twice, committed before each call."""

approvals = Table(
    "approvals",
    metadata,
    Column("approval_id", String(16), primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("agent", String(40), nullable=False),
    Column("root_id", String(128), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("name", String(200), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("hash", String(32), nullable=False),
    Column("definition", String(32), nullable=False),
    Column("asked_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("state", String(9), nullable=False),
    Column("decided_at", Float(53)),
    Column("decided_by", String(80)),
    Column("note", Text),
)
"""Requests for the approval of a call, with their decisions. `arguments` is JSON, `hash` that of
the call, and `definition` the hash of the definition that the asking process had."""

_UNDECIDED = text("state = 'pending'")
Index(
    "approvals_expiring",
    approvals.c.agent,
    approvals.c.expires_at,
    postgresql_where=_UNDECIDED,
    sqlite_where=_UNDECIDED,
)
Index(
    "approvals_pending",
    approvals.c.asked_at,
    approvals.c.approval_id,
    postgresql_where=_UNDECIDED,
    sqlite_where=_UNDECIDED,
)
Index("approvals_run", approvals.c.run_id)
Index("approvals_root", approvals.c.root_id)

cancels = Table(
    "cancels",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("agent", String(40), nullable=False),
    Column("task_id", String(128), nullable=False),
    Column("asked_at", Float(53), nullable=False),
)
"""Cancelled tasks, whether they have a run already or not."""

pauses = Table(
    "pauses",
    metadata,
    Column("agent", String(40), primary_key=True),
    Column("paused_at", Float(53), nullable=False),
)
"""Paused agents; `all`, which no agent can be named, stands for every agent."""

shutdowns = Table(
    "shutdowns",
    metadata,
    Column("instance", String(64), primary_key=True),
    Column("mode", String(8), nullable=False),
    Column("asked_at", Float(53), nullable=False),
)
"""Processes that are to end, by instance: a restarted process has another one."""
