"""The versions that the tests ran on: one line each at the end."""

from __future__ import annotations

import pytest

_SAID = pytest.StashKey[dict[str, str]]()


def summary(config: pytest.Config) -> dict[str, str]:
    """The lines of this process, by what they are about; fixtures add theirs."""
    return config.stash.setdefault(_SAID, {})
