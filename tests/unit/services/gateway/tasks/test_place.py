from __future__ import annotations

import pytest

from services.gateway.tasks.place import Place, RunPlace


def test_a_place_survives_a_header() -> None:
    place = Place(
        {
            "0123456789ab": RunPlace("00ff00").with_step(3, 0).with_step(3, 12),
            "ba9876543210": RunPlace("123456"),
        },
        ended=2,
    )
    assert Place.parsed(str(place)) == place
    assert str(place).isascii()
    assert " " not in str(place)


def test_the_beginning_is_empty() -> None:
    assert str(Place()) == ""
    assert Place.parsed("") == Place()


@pytest.mark.parametrize(
    "text", ["x", "end.", "end.1~", "0123456789ab.00ff00.1", "~", "é", "0" * 99]
)
def test_another_text_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="is no place"):
        Place.parsed(text)


def test_a_run_has_received_all_steps_of_earlier_turns_and_the_named_ones_of_the_last() -> None:
    run = RunPlace("00ff00").with_step(1, 0).with_step(2, 0).with_step(2, 3)
    assert run.has(1, 5)
    assert run.has(2, 0)
    assert run.has(2, 3)
    assert not run.has(2, 1)
    assert not run.has(2, -1)
    assert not run.has(3, 0)


def test_steps_that_shorten_the_history_have_a_place_before_the_model_call() -> None:
    run = RunPlace("00ff00").with_step(2, -3)
    assert run.has(2, -3)
    assert not run.has(2, 0)
