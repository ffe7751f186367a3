from __future__ import annotations

from shared.store import Store
from shared.store.messages import notes
from tests.support.stores.steps import a_moment_later, claimed, request


async def stored(store: Store, message_id: str, body: str) -> bool:
    return await store.write("", lambda db: notes.remember(db, "alice", message_id, "tom", body))


async def recent(store: Store) -> tuple[str, ...]:
    return await store.read(lambda db: notes.recent(db, "alice"))


async def test_a_note_is_stored_once(store: Store) -> None:
    assert await stored(store, "m1", "hello")
    assert not await stored(store, "m1", "again")
    assert await recent(store) == ("From tom: hello",)


async def test_notes_can_contain_characters_that_a_database_refuses(store: Store) -> None:
    await stored(store, "m1", "nul \0, rabbit 🐇, half \ud83d")
    assert await recent(store) == ("From tom: nul \0, rabbit 🐇, half \ud83d",)


async def test_the_oldest_notes_are_forgotten_and_long_ones_cut(store: Store) -> None:
    for number in range(notes.NOTES_KEPT + 3):
        await stored(store, f"m{number}", f"{number} " + "x" * notes.NOTE_CHARS)
        await a_moment_later(store)
    kept = await recent(store)
    assert [note.split()[2] for note in kept] == [str(3 + n) for n in range(notes.NOTES_KEPT)]
    assert {len(note) for note in kept} == {notes.NOTE_CHARS + len("From tom: ")}


async def test_a_claim_freezes_the_notes_of_its_moment(store: Store) -> None:
    await stored(store, "m1", "before \0 🐇")
    run = (await claimed(store, request(with_notes=True))).run
    await stored(store, "m2", "after")
    assert run is not None
    assert run.notes == ("From tom: before \0 🐇",)
    again = (await claimed(store, request(with_notes=True))).run
    assert again == run
    bare = (await claimed(store, request("t2"))).run
    assert bare is not None
    assert bare.notes == ()
