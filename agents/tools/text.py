"""Plain Python tools about texts."""


def count_words(text: str) -> int:
    """Counts the words of a text."""
    return len(text.split())
