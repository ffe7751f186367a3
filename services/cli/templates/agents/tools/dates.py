"""Tools are plain functions: type hints and docstring tell the model what they want."""

from datetime import date


def weekday(day: str) -> str:
    """Says which day of the week a date is. `day` is written YYYY-MM-DD."""
    return f"{date.fromisoformat(day):%A}"
