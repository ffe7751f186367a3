from __future__ import annotations

from functools import partial

from shared.store import Store
from shared.store.processes import audit
from shared.store.processes.audit import SUBJECT_CHARS, AuditRow


async def recorded(store: Store, subject: str) -> None:
    await store.write(
        "", lambda db: audit.record(db, "0123456789ab", "laptop", "task.send", subject)
    )


async def newest(store: Store, limit: int, before: int | None = None) -> list[AuditRow]:
    return list(await store.read(partial(audit.newest, limit=limit, before=before)))


async def test_rows_are_read_in_pages_the_newest_first(store: Store) -> None:
    for number in range(5):
        await recorded(store, f"alice/{number}")
    first = await newest(store, 3)
    rest = await newest(store, 3, before=first[-1].seq)
    assert [row.subject for row in [*first, *rest]] == [f"alice/{it}" for it in (4, 3, 2, 1, 0)]
    assert (first[0].key_id, first[0].key_name) == ("0123456789ab", "laptop")
    assert (first[0].action, first[0].detail) == ("task.send", "")


async def test_a_subject_of_any_length_and_content_is_recorded(store: Store) -> None:
    await recorded(store, "\0" + "é" * 1000 + "\ud83d")
    (row,) = await newest(store, 1)
    assert row.subject == "é" * SUBJECT_CHARS


async def test_only_old_rows_are_removed(store: Store) -> None:
    await recorded(store, "alice/1")
    await store.write("", partial(audit.remove_old, keep_s=3600))
    assert len(await newest(store, 9)) == 1
    await store.write("", partial(audit.remove_old, keep_s=0))
    assert await newest(store, 9) == []
