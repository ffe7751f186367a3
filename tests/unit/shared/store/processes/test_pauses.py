from __future__ import annotations

from functools import partial

import pytest

from shared.contract.topology import ALL
from shared.store import Store, open_store
from shared.store.processes.pauses import pause, paused, unpause
from tests.support.stores.steps import seen


async def at_rest(store: Store, agent: str) -> bool:
    return (await seen(store, agent)).commands.paused


@pytest.mark.parametrize(("agent", "resting"), [("alice", (True, False)), (ALL, (True, True))])
async def test_a_pause_applies_to_the_agents_that_it_names(
    store: Store, store_url: str, agent: str, resting: tuple[bool, bool]
) -> None:
    await store.write("", partial(pause, agent=agent))
    await store.write("", partial(pause, agent=agent))
    async with open_store(store_url) as later:
        assert (await at_rest(later, "alice"), await at_rest(later, "bob")) == resting
    await store.write("", partial(unpause, agent=agent))
    assert (await at_rest(store, "alice"), await at_rest(store, "bob")) == (False, False)


async def test_letting_all_go_lets_those_go_that_were_named(store: Store) -> None:
    for agent in ("alice", "bob", ALL):
        await store.write("", partial(pause, agent=agent))
    await store.write("", partial(unpause, agent="alice"))
    assert (await store.read(paused)).keys() == {"bob", ALL}
    await store.write("", partial(unpause, agent=ALL))
    assert (await store.read(paused)).keys() == set()
