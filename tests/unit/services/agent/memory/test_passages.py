from __future__ import annotations

from services.agent.memory.passages import MOST_CHARS, passages

GUIDE = """Before all.

# Guide {#top}

## Install <a id="x">

pip install it

```sh
# no heading
```

Then restart.

# Other ##

The end.
"""


def test_each_passage_stands_under_its_headings() -> None:
    assert passages("guide.md", GUIDE) == [
        "guide.md\n\nBefore all.",
        "guide.md > Guide > Install\n\npip install it\n\n```sh\n# no heading\n```\n\nThen restart.",
        "guide.md > Other\n\nThe end.",
    ]


def test_short_paragraphs_are_joined_and_long_ones_split_without_a_loss() -> None:
    words = [f"word{n}" for n in range(3_000)]
    sentences = " ".join(f"{word}." if n % 9 == 0 else word for n, word in enumerate(words))
    text = "\n\n".join([*(f"short {n}" for n in range(400)), sentences])
    found = [it.removeprefix("a\n\n") for it in passages("a", text)]
    assert max(map(len, found)) <= MOST_CHARS
    assert " ".join(found).split() == text.split()
    assert len(found) < 2 * len(text) / MOST_CHARS


def test_a_text_without_spaces_is_split_too() -> None:
    found = [it.removeprefix("a\n\n") for it in passages("a", "x" * (2 * MOST_CHARS + 1))]
    assert [len(it) for it in found] == [MOST_CHARS, MOST_CHARS, 1]


def test_a_text_of_nothing_has_no_passages() -> None:
    assert passages("a", "\n \n# Only a heading\n") == []
