"""What all processes share."""

VERSION = "0.1.0"
"""Also in pyproject.toml, which is not in the image."""
