"""A run whose model is away: due again later, nobody's until then."""

from sqlalchemy import Float, bindparam, case
from sqlalchemy.engine import Connection

from shared.store.runs.run import CHANGE, Run, change, plain
from shared.store.schema import RunState, now_s, runs

_then = now_s() + bindparam("wait_s", type_=Float(53))
_PUT_OFF = CHANGE.values(due_at=case((_then < runs.c.deadline_at, _then), else_=runs.c.deadline_at))


def put_off(connection: Connection, run: Run, *, failures: int, wait_s: float, detail: str) -> None:
    """Let any replica go on with an owned run after `wait_s`; raises `RunLost`.

    Never later than the run's deadline: it ends then. `failures` is how often in a row it has
    been put off, this time included; `detail` is for the operator, as at the end.
    """
    fields = {
        "state": RunState.DUE,
        "owner": None,
        "failures": failures,
        "detail": plain(detail),
        "wait_s": wait_s,
    }
    change(connection, run, fields, _PUT_OFF)
