from __future__ import annotations

from functools import partial

import pytest

from shared.errors import StoreError
from shared.store import Store
from shared.store.processes import api_keys
from shared.store.processes.api_keys import ApiKey, Scope, generate, hash_of, key_id_of


async def added(store: Store, name: str, *agents: str) -> str:
    key = generate()
    await store.write("", partial(api_keys.add, key=key, name=name, scope=Scope.RUN, agents=agents))
    return key


async def kept(store: Store) -> list[ApiKey]:
    return list(await store.read(api_keys.every))


def test_a_scope_includes_those_before_it() -> None:
    assert Scope.READ.included() == {Scope.READ}
    assert Scope.RUN.included() == {Scope.READ, Scope.RUN}
    assert Scope.OPERATE.included() == set(Scope)


def test_a_key_has_256_random_bits_and_names_its_id() -> None:
    key, other = generate(), generate()
    prefix, key_id, secret = key.split("_")
    assert (prefix, key_id_of(key), len(secret)) == ("hk", key_id, 64)
    assert key_id != key_id_of(other)
    for wrong in ("", "hk_", key[:-1], f"{key}0", f" {key}", key.upper(), key.replace("_", "-")):
        assert key_id_of(wrong) is None


async def test_the_store_has_the_hash_of_a_key_but_not_the_key(store: Store) -> None:
    key = await added(store, "laptop", "bob", "alice", "bob")
    (found,) = await kept(store)
    assert (found.key_id, found.name, found.hash) == (key_id_of(key), "laptop", hash_of(key))
    assert (found.scope, found.agents) == (Scope.RUN, frozenset({"alice", "bob"}))
    assert key.rpartition("_")[2] not in repr(found)


async def test_adding_the_same_key_again_changes_nothing(store: Store) -> None:
    key = await added(store, "laptop")
    before = await kept(store)
    await store.write(
        "", partial(api_keys.add, key=key, name="laptop", scope=Scope.READ, agents=["bob"])
    )
    assert await kept(store) == before


async def test_a_name_is_free_again_once_its_key_is_revoked(store: Store) -> None:
    await added(store, "laptop")
    with pytest.raises(StoreError, match="there is a key 'laptop' already"):
        await added(store, "laptop")
    await store.write("", partial(api_keys.revoke, name="laptop"))
    key = await added(store, "laptop")
    (found,) = await kept(store)
    assert (found.key_id, found.revoked_at) == (key_id_of(key), None)


@pytest.mark.parametrize("by_id", [False, True])
async def test_a_key_is_revoked_once_by_its_name_or_id(store: Store, by_id: bool) -> None:
    key, _ = await added(store, "laptop"), await added(store, "other")
    revoke = partial(api_keys.revoke, name=str(key_id_of(key)) if by_id else "laptop")
    assert await store.write("", revoke)
    first = await kept(store)
    assert {it.name: it.revoked_at is None for it in first} == {"laptop": False, "other": True}
    assert await store.write("", revoke)
    assert await kept(store) == first


async def test_an_unknown_key_is_not_revoked(store: Store) -> None:
    assert not await store.write("", partial(api_keys.revoke, name="nothing"))
