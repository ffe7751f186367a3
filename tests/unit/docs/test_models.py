"""The table of endpoints agrees with the profiles and with the mocks."""

from __future__ import annotations

from typing import get_args

import pytest

from shared.definitions.model import ProfileName
from shared.definitions.models.profiles import profile
from tests.support.model.endpoints.matrix import BY_NAME
from tests.support.repository import REPOSITORY

ROWS = [
    [cell.strip(" `") for cell in line.strip("| ").split(" | ")]
    for line in (REPOSITORY / "docs" / "models.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and line.count(" | ") == 5
][1:]


@pytest.mark.parametrize("row", ROWS, ids=[row[-1] for row in ROWS])
def test_a_row_names_its_profile_its_wire_and_a_mock_of_it(row: list[str]) -> None:
    _, _, named, wire, _, mock = row
    played = BY_NAME[mock]
    assert played.profile == named
    assert wire == played.choice.get("api", profile("", played.model, named).wire)


def test_every_profile_and_every_mock_has_a_row() -> None:
    assert {row[2] for row in ROWS} == set(get_args(ProfileName))
    assert sorted(row[-1] for row in ROWS) == sorted(BY_NAME)
