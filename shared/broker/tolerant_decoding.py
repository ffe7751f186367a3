"""Decoding of malformed properties, which any client may publish, without losing the connection.

pamqp raises for text that is not UTF-8 and for times that Python can't represent, and aiormq then
closes the whole connection. The message is delivered again on the next connection and closes that
one too. pamqp also copies the rest of a table for each item: a hundred thousand items block the
process for seconds. pamqp has no hook for this, so entries of its tables of decoders are replaced.
Tests send such messages through a real broker, and fail when the replacement stops working.
"""

from __future__ import annotations

from collections.abc import Callable

from pamqp import decode
from pamqp.common import FieldValue

Decoder = Callable[[bytes], tuple[int, FieldValue]]

MOST_LEVELS = 16
"""The limit for nested tables and arrays: recursive functions print, hash and mask these values
later. No useful value is nested this deep."""

_LENGTH_BYTES = 4
"""The size of the big-endian length with which a table, an array and a long text begin."""
_LONG = (b"S", b"x", b"A", b"F")
"""Item types that begin with their length; other items take at most 8 bytes."""
_TIME_BYTES = 8
_TEXT_BYTES = 255
"""The limit of a short text. Replacing bytes by `�`, of three bytes each, could exceed it, and a
refusal that copies the text could then not be sent."""


class Unreadable(str):
    """A text that was not UTF-8: it can be shown, but not sent back unchanged."""

    __slots__ = ()


def decode_tolerantly() -> None:
    """Make pamqp decode unreadable text with `�`, unreadable times as None and unreadable tables as
    {}, in the whole process."""
    decode.METHODS["shortstr"] = _text
    decode.METHODS["timestamp"] = _with_fallback(decode.timestamp, lambda _: (_TIME_BYTES, None))
    decode.METHODS["table"] = _with_fallback(_shallow_table, lambda value: (_end(value), {}))
    decode.TABLE_MAPPING[b"F"] = _table
    decode.TABLE_MAPPING[b"A"] = _array


def _text(value: bytes) -> tuple[int, FieldValue]:
    end = 1 + value[0]
    try:
        return end, value[1:end].decode("utf-8")
    except UnicodeDecodeError:
        shown = value[1:end].decode("utf-8", "replace").encode()
        return end, Unreadable(shown[:_TEXT_BYTES].decode("utf-8", "ignore"))


def _with_fallback(decoder: Decoder, fallback: Decoder) -> Decoder:
    def tolerant(value: bytes) -> tuple[int, FieldValue]:
        try:
            return decoder(value)
        except Exception:  # noqa: BLE001 - no error of a decoder may close the connection
            return fallback(value)

    return tolerant


def _table(value: bytes) -> tuple[int, FieldValue]:
    table: dict[str, FieldValue] = {}
    offset, end = _LENGTH_BYTES, _end(value)
    while offset < end:
        name_at = offset + 1
        offset = name_at + value[offset]
        name = value[name_at:offset].decode()
        offset, table[name] = _item(value, offset, end)
    return end, table


def _array(value: bytes) -> tuple[int, FieldValue]:
    array: list[FieldValue] = []
    offset, end = _LENGTH_BYTES, _end(value)
    while offset < end:
        offset, item = _item(value, offset, end)
        array.append(item)
    return end, array


def _item(value: bytes, offset: int, end: int) -> tuple[int, FieldValue]:
    """The offset of the next item, and this item; copies no more bytes than an item can have."""
    kind, length_at = value[offset : offset + 1], offset + 1
    most = length_at + (_end(value[length_at : length_at + _LENGTH_BYTES]) if kind in _LONG else 8)
    taken, item = decode.embedded_value(value[offset : min(most, end)])
    if not taken or offset + taken > end:
        raise ValueError("it is longer than its table")
    return offset + taken, item


def _shallow_table(value: bytes) -> tuple[int, FieldValue]:
    end, table = _table(value)
    if _levels(table) > MOST_LEVELS:
        raise ValueError("it is nested too deep")
    return end, table


def _levels(value: FieldValue) -> int:
    """The depth of nesting, counted up to `MOST_LEVELS` + 1."""
    inside: list[FieldValue] = [value]
    for level in range(MOST_LEVELS + 1):
        inside = [
            item
            for it in inside
            if isinstance(it, dict | list)
            for item in (it.values() if isinstance(it, dict) else it)
        ]
        if not inside:
            return level
    return MOST_LEVELS + 1


def _end(value: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES], "big")
