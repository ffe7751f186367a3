"""Which messages with the same id count as the same task."""

import pytest

from shared.contract.content_hash import content_hash, earlier_content_hash
from shared.contract.messages import Budget, Task, Trigger


def test_lineage_does_not_make_a_task_another_one() -> None:
    task = Task(id="a", content="x")
    assert content_hash(task) == content_hash(task.model_copy(update={"path": ("alice",)}))
    poor = task.model_copy(update={"budget": Budget(model_calls=1)})
    assert content_hash(task) == content_hash(poor)
    assert content_hash(task) == content_hash(task.model_copy(update={"stream": True}))
    assert content_hash(task) != content_hash(Task(id="a", content="y"))
    assert content_hash(task) != content_hash(Trigger(id="a", content="x"))


def test_the_same_words_in_another_session_are_another_task() -> None:
    here, there = Task(id="a", content="x", session="s1"), Task(id="a", content="x", session="s2")
    assert len({content_hash(it) for it in (here, there, Task(id="a", content="x"))}) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Task(content="a\0b"), Task(content="a", context="b\0")),
        (Task(content="a\0b"), Task(content="a", context="b")),
        (Task(content="a", context="b\0s"), Task(content="a", context="b", session="s")),
        (Trigger(content="a\0b"), Trigger(content="a", session="b")),
    ],
)
def test_no_text_poses_as_two_nor_as_a_session(one: Task | Trigger, other: Task | Trigger) -> None:
    assert content_hash(one) != content_hash(other)


def test_an_earlier_versions_hash_equals_that_of_its_rows() -> None:
    """The hash in tests/integration/services/agent/journal-0.1.0.sql."""
    task = Task(id="task-that-ended", content="Write an email.")
    assert earlier_content_hash(task) == "5bae89c916621fc295fda4e7ebd0b93b"
    assert content_hash(task) != earlier_content_hash(task)
