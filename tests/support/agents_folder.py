"""A folder of agents' files, and the fault that loading it raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.definitions.loader import load
from shared.errors import SettingsError


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text, "utf-8")


def fault(folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder)
    assert caught.value.exit_code == 2
    return str(caught.value)
