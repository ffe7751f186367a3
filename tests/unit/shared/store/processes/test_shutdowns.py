from __future__ import annotations

from functools import partial

import pytest

from shared.contract.messages import ShutdownMode
from shared.store import Store
from shared.store.processes import heartbeats
from shared.store.processes.shutdowns import remove_old, request
from shared.store.queries.poll import poll


async def shut_down(store: Store, agent: str | None, mode: ShutdownMode) -> None:
    await store.write("", partial(request, agent=agent, mode=mode))


async def modes(store: Store, *instances: str) -> list[ShutdownMode | None]:
    seen = [await store.read(partial(poll, agent="alice", instance=it)) for it in instances]
    return [it.commands.shutdown for it in seen]


@pytest.mark.parametrize(("whose", "of_bob"), [("alice", None), (None, "drain")])
async def test_a_shutdown_names_the_processes_that_are_there(
    store: Store, whose: str | None, of_bob: ShutdownMode | None
) -> None:
    await store.write("", partial(heartbeats.record, instance="bob.1", agent="bob"))
    await shut_down(store, whose, "drain")
    await store.write("", partial(heartbeats.record, instance="alice.2", agent="alice"))
    assert await modes(store, "alice.1", "bob.1", "alice.2") == ["drain", of_bob, None]


async def test_a_drain_may_become_a_stop_and_a_stop_no_drain(store: Store) -> None:
    for mode in ("drain", "stop", "drain"):
        await shut_down(store, "alice", mode)
    assert await modes(store, "alice.1") == ["stop"]


async def test_an_instance_that_leaves_deletes_its_shutdown(store: Store) -> None:
    await shut_down(store, "alice", "stop")
    await store.write("", partial(heartbeats.remove, instance="alice.1"))
    assert await modes(store, "alice.1") == [None]


async def test_a_shutdown_that_no_process_obeyed_is_deleted_after_its_time(store: Store) -> None:
    await shut_down(store, "alice", "stop")
    await store.write("", partial(remove_old, keep_s=3600))
    assert await modes(store, "alice.1") == ["stop"]
    await store.write("", partial(remove_old, keep_s=0))
    assert await modes(store, "alice.1") == [None]
