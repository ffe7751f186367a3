from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy import update
from sqlalchemy.engine import Connection

from shared.contract.content_hash import content_hash, earlier_content_hash
from shared.contract.messages import Task
from shared.store import Store
from shared.store.messages.sent import receivers, record, record_new, remove_old, repeatable
from shared.store.messages.tables import sent_messages
from shared.store.messages.webhooks import Callback, take_due
from shared.store.schema import runs
from tests.support.stores.steps import claimed, ended, owned, request


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
    other = task.model_copy(update={"content": "something else"})
    assert not await store.write("", partial(record_new, agent="alice", message=other))
    await claimed(store, known)
    assert await store.write("", partial(record_new, agent="alice", message=task))
    assert not await store.write("", partial(record_new, agent="alice", message=other))
    assert await store.write("", partial(record_new, agent="bob", message=other))
    assert await store.read(partial(receivers, message_id="t1")) == ["alice", "bob"]


async def test_a_message_that_is_not_recorded_has_no_webhook_either(store: Store) -> None:
    task = Task(id="t1", content="hello")
    claim = replace(request("t1"), content_hash=content_hash(task))
    run = (await claimed(store, claim, "alice.1")).run
    assert run is not None
    await ended(store, run)
    callback = Callback("https://a", "")
    new = partial(record_new, agent="alice", callback=callback)
    other = task.model_copy(update={"content": "something else"})
    assert not await store.write("", partial(new, message=other))
    assert await store.write("", partial(take_due, most=9)) == []
    assert await store.write("", partial(new, message=task))
    assert [it.url for it in await store.write("", partial(take_due, most=9))] == ["https://a"]


async def test_a_run_of_an_earlier_version_is_the_same_task_by_its_earlier_hash(
    store: Store,
) -> None:
    task = Task(id="t1", content="hello")
    await claimed(store, replace(request("t1"), content_hash=earlier_content_hash(task)))
    assert not await store.write("", partial(record_new, agent="alice", message=task))
    await store.write("", lambda db: db.execute(update(runs).values(nonce="")))
    assert await store.write("", partial(record_new, agent="alice", message=task))


async def test_a_repeated_request_finds_the_newest_task_that_began_with_the_same_hash(
    store: Store,
) -> None:
    async def found(beginning: str, receiver: str = "bob") -> str | None:
        search = partial(repeatable, receiver=receiver, beginning=beginning, within_s=60.0)
        return await store.read(search)

    first, second, other = "resp_bob_0a0000", "resp_bob_0affff", "resp_bob_0b0000"
    for number, id in enumerate((other, second, first)):
        row = sent_messages.insert().values(message_id=id, receiver="bob", sent_at=number)
        await store.write("", partial(Connection.execute, statement=row))
    assert await found("resp_bob_0a") == first
    assert await found("resp_bob_0b") == other
    assert await found("resp_bob_0c") is None
    assert await found("resp_bob_0a", "alice") is None


async def test_a_repeated_request_leaves_a_run_alone_that_has_ended_long_ago(store: Store) -> None:
    run = await owned(store, "resp_alice_0a00")
    await store.write("", partial(record, message_id=run.task_id, receiver="alice"))

    async def found(within_s: float) -> str | None:
        search = partial(repeatable, receiver="alice", beginning="resp_alice_0a", within_s=within_s)
        return await store.read(search)

    assert await found(0.0) == run.task_id
    await ended(store, run)
    assert await found(60.0) == run.task_id
    assert await found(-60.0) is None
