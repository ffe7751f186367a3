from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy import update

from shared.contract.content_hash import content_hash, earlier_content_hash
from shared.contract.messages import Task
from shared.store import Store
from shared.store.messages.sent import receivers, record, record_new, remove_old
from shared.store.schema import runs
from tests.support.stores.steps import claimed, request


async def test_a_sent_message_is_known_with_each_of_its_receivers_until_it_is_old(
    store: Store,
) -> None:
    for receiver in ("bob", "hutch.swarm.office", "bob"):
        await store.write("", partial(record, message_id="t1", receiver=receiver))
    assert await store.read(partial(receivers, message_id="t1")) == ["bob", "hutch.swarm.office"]
    assert await store.read(partial(receivers, message_id="t2")) == []
    await store.write("", partial(remove_old, keep_s=3600.0))
    assert await store.read(partial(receivers, message_id="t1"))
    await store.write("", partial(remove_old, keep_s=0.0))
    assert await store.read(partial(receivers, message_id="t1")) == []


async def test_a_message_is_recorded_before_it_is_sent_unless_its_id_has_other_content(
    store: Store,
) -> None:
    task = Task(id="t1", content="hello")
    known = replace(request("t1"), content_hash=content_hash(task))
    assert await store.write("", partial(record_new, agent="alice", message=task))
    await claimed(store, known)
    assert await store.write("", partial(record_new, agent="alice", message=task))
    other = task.model_copy(update={"content": "something else"})
    assert not await store.write("", partial(record_new, agent="alice", message=other))
    assert await store.write("", partial(record_new, agent="bob", message=other))
    assert await store.read(partial(receivers, message_id="t1")) == ["alice", "bob"]


async def test_a_run_of_an_earlier_version_is_the_same_task_by_its_earlier_hash(
    store: Store,
) -> None:
    task = Task(id="t1", content="hello")
    await claimed(store, replace(request("t1"), content_hash=earlier_content_hash(task)))
    assert not await store.write("", partial(record_new, agent="alice", message=task))
    await store.write("", lambda db: db.execute(update(runs).values(nonce="")))
    assert await store.write("", partial(record_new, agent="alice", message=task))
