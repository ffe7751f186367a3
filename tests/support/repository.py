"""The repository's path, for tests that read its files or start its processes."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
