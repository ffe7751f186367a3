from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import update

from shared.contract.messages import Task
from shared.store import Store
from shared.store.messages import webhooks
from shared.store.messages.tables import webhooks as table
from shared.store.messages.webhooks import LEASE_S, Callback, Webhook
from shared.store.processes import api_keys
from shared.store.runs.run import Run
from shared.store.schema import runs
from tests.support.stores.approvals import call, decided, parked, run_of, worker_of
from tests.support.stores.steps import ended, owned


async def added(store: Store, run: Run, url: str = "https://a", key_id: str = "") -> None:
    callback = Callback(url, key_id)
    await store.write("", partial(webhooks.add, run_id=run.run_id, callback=callback))


async def taken(store: Store, most: int = 9) -> Sequence[Webhook]:
    return await store.write("", partial(webhooks.take_due, most=most))


async def later(store: Store, seconds: float) -> None:
    """Let a time pass for all webhooks and ended runs."""
    pass_by = update(table).values(
        due_at=table.c.due_at - seconds, created_at=table.c.created_at - seconds
    )
    await store.write("", lambda db: db.execute(pass_by).close())
    ended_earlier = update(runs).values(ended_at=runs.c.ended_at - seconds)
    await store.write("", lambda db: db.execute(ended_earlier).close())


async def test_a_webhook_is_due_once_its_run_has_ended(store: Store) -> None:
    run = await owned(store)
    await added(store, run)
    await added(store, run)
    assert await taken(store) == []
    await ended(store, run)
    (due,) = await taken(store)
    assert (due.url, due.attempts) == ("https://a", 0)
    assert '"type":"response"' in (due.response or "")


async def test_a_webhook_of_a_revoked_key_is_never_due(store: Store) -> None:
    kept, revoked = api_keys.generate(), api_keys.generate()
    run = await owned(store)
    for name, key in (("kept", kept), ("revoked", revoked)):
        add = partial(api_keys.add, key=key, name=name, scope=api_keys.Scope.RUN, agents=())
        await store.write("", add)
        await added(store, run, f"https://{name}", api_keys.key_id_of(key) or "")
    await ended(store, run)
    await store.write("", partial(api_keys.revoke, name="revoked"))
    assert [it.url for it in await taken(store)] == ["https://kept"]
    await store.write("", partial(api_keys.revoke, name="kept"))
    await later(store, LEASE_S)
    assert await taken(store) == []


async def test_one_that_was_taken_is_due_again_only_after_its_lease(store: Store) -> None:
    run = await owned(store)
    await added(store, run)
    await ended(store, run)
    assert len(await taken(store)) == 1
    assert await taken(store) == []
    await later(store, LEASE_S)
    assert len(await taken(store)) == 1


async def test_a_delivered_one_and_one_that_was_given_up_are_never_due_again(store: Store) -> None:
    run = await owned(store)
    await added(store, run, "https://a")
    await added(store, run, "https://b")
    await ended(store, run)
    one, other = [it.webhook_id for it in await taken(store)]
    await store.write("", partial(webhooks.delivered, webhook_id=one))
    await store.write("", partial(webhooks.give_up, webhook_id=other, error="410"))
    # An attempt that was slower than its lease ends after another one:
    await store.write("", partial(webhooks.postpone, webhook_id=one, delay_s=0, error="no"))
    await later(store, 10 * LEASE_S)
    assert await taken(store) == []


async def test_a_failed_attempt_counts_and_one_that_waited_for_its_host_does_not(
    store: Store,
) -> None:
    run = await owned(store)
    await added(store, run)
    await ended(store, run)
    (due,) = await taken(store)
    await store.write("", partial(webhooks.postpone, webhook_id=due.webhook_id, delay_s=5))
    assert await taken(store) == []
    await later(store, 5)
    assert [it.attempts for it in await taken(store)] == [0]
    failed = partial(webhooks.postpone, webhook_id=due.webhook_id, delay_s=5, error="no")
    await store.write("", failed)
    await later(store, 5)
    assert [it.attempts for it in await taken(store)] == [1]


async def test_old_ones_are_deleted(store: Store) -> None:
    run = await owned(store)
    await added(store, run)
    await ended(store, run)
    await later(store, 100)
    await store.write("", partial(webhooks.remove_old, keep_s=101))
    assert len(await taken(store)) == 1
    await store.write("", partial(webhooks.remove_old, keep_s=99))
    await later(store, LEASE_S)
    assert await taken(store) == []


async def test_one_is_kept_while_its_run_is_open_however_old_it_is(store: Store) -> None:
    run = await owned(store)
    await added(store, run)
    await later(store, 100)
    await store.write("", partial(webhooks.remove_old, keep_s=99))
    await ended(store, run)
    await store.write("", partial(webhooks.remove_old, keep_s=99))
    assert len(await taken(store)) == 1


async def test_a_request_below_a_task_is_sent_to_the_address_of_the_task(store: Store) -> None:
    alice = await run_of(store, Task(id="t1", content="Refund order 17."))
    await added(store, alice)
    other = await run_of(store, Task(id="t2", content="Write."))
    await added(store, other, "https://other")
    bob = await worker_of(store, alice)
    (asked,) = await parked(store, bob)
    (due,) = await taken(store)
    assert (due.url, due.agent, due.task_id) == ("https://a", "alice", "t1")
    assert (due.approval_id, due.response) == (asked.approval_id, None)


async def test_a_request_is_sent_once_with_an_id_of_its_own(store: Store) -> None:
    run = await run_of(store, Task(id="t1", content="Refund order 17."))
    await added(store, run)
    await parked(store, run)
    (due,) = await taken(store)
    await store.write("", partial(webhooks.delivered, webhook_id=due.webhook_id))
    await later(store, LEASE_S)
    assert await taken(store) == []
    assert due.webhook_id != webhooks.webhook_id(run.run_id, Callback("https://a", ""))


async def test_a_request_that_is_decided_is_not_sent_any_more(store: Store) -> None:
    run = await run_of(store, Task(id="t1", content="Refund order 17."))
    await added(store, run)
    asked, _ = await parked(store, run, call("refund"), call("mail", 2))
    await decided(store, asked)
    (due,) = await taken(store)
    assert due.approval_id != asked.approval_id
