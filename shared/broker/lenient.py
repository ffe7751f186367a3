"""Properties that can't be read: anybody may publish them, and they must cost nobody a connection.

The client ends the whole connection at a text that is not UTF-8 or a time beyond the calendar.
The message comes back with the next connection and ends that one too.
"""

from __future__ import annotations

from collections.abc import Callable

from pamqp import decode
from pamqp.common import FieldValue

Decoder = Callable[[bytes], tuple[int, FieldValue]]

_LENGTH_BYTES = 4
"""A table begins with its length, as a big-endian number."""
_TIME_BYTES = 8
_TEXT_BYTES = 255
"""What a short text may have; each `�` takes three, and refusals send these texts on."""


def read_leniently() -> None:
    """From here on, in this process, what can't be read comes as `�`, as no time, as no table."""
    decode.METHODS["shortstr"] = _text
    decode.METHODS["timestamp"] = _or(decode.timestamp, lambda _: (_TIME_BYTES, None))
    decode.METHODS["table"] = _or(decode.field_table, lambda value: (_table_bytes(value), {}))


def _text(value: bytes) -> tuple[int, FieldValue]:
    end = 1 + value[0]
    readable = value[1:end].decode("utf-8", "replace").encode()
    return end, readable[:_TEXT_BYTES].decode("utf-8", "ignore")


def _or(read: Decoder, otherwise: Decoder) -> Decoder:
    def lenient(value: bytes) -> tuple[int, FieldValue]:
        try:
            return read(value)
        except (ValueError, OverflowError, OSError, RecursionError):
            return otherwise(value)

    return lenient


def _table_bytes(value: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES], "big")
