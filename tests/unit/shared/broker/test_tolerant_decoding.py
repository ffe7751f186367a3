from __future__ import annotations

import struct
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pamqp import decode, encode
from pamqp.commands import Basic
from pamqp.common import FieldTable

from shared.broker.tolerant_decoding import MOST_LEVELS, decode_tolerantly


@pytest.fixture(autouse=True)
def tolerant() -> None:
    decode_tolerantly()


def unread(flag: int, raw: bytes) -> Basic.Properties:
    properties = Basic.Properties()
    properties.unmarshal(flag, raw + b"\x02ok")
    return properties


def flags(name: str) -> int:
    return Basic.Properties.flags[name] | Basic.Properties.flags["app_id"]


def test_a_text_that_is_not_utf8_is_marked_and_the_fields_after_it_are_read() -> None:
    properties = unread(flags("message_id"), b"\x02\xff!")
    assert (properties.message_id, properties.app_id) == ("\ufffd!", "ok")


def test_a_text_that_is_not_utf8_can_be_sent_on() -> None:
    properties = unread(flags("message_id"), b"\xff" * 256)
    assert properties.message_id == "\ufffd" * 85
    assert Basic.Properties(message_id=properties.message_id).marshal()


def test_pamqp_alone_still_fails_at_what_is_read_here() -> None:
    """When this fails, `tolerant_decoding` may no longer be needed."""
    with pytest.raises(UnicodeDecodeError):
        decode.short_str(b"\x02\xff!")
    with pytest.raises((OverflowError, ValueError)):
        decode.timestamp(struct.pack(">Q", 2**64 - 1))


def test_a_text_is_read_as_it_is() -> None:
    assert unread(flags("message_id"), b"\x02\xc3\xa9").message_id == "é"


@pytest.mark.parametrize("microseconds", [1_700_000_000_000_000, 2**64 - 1])
def test_a_time_beyond_the_calendar_is_none(microseconds: int) -> None:
    properties = unread(flags("timestamp"), struct.pack(">Q", microseconds))
    assert (properties.timestamp, properties.app_id) == (None, "ok")


def test_a_time_is_read_as_it_is() -> None:
    at = unread(flags("timestamp"), struct.pack(">Q", 1_700_000_000)).timestamp
    assert at == datetime.fromtimestamp(1_700_000_000, UTC)


def nested(depth: int) -> bytes:
    field = b""
    for _ in range(depth):
        field = b"\x01aF" + struct.pack(">I", len(field)) + field
    return field


def table(*fields: bytes) -> Basic.Properties:
    within = b"".join(fields)
    return unread(flags("headers"), struct.pack(">I", len(within)) + within)


def test_a_table_is_read_as_the_client_wrote_it() -> None:
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    written: FieldTable = {
        "text": "Grüße",
        "bytes": bytearray(b"\xff\0"),
        "numbers": [0, -1, 2**31, -(2**63), 0.5, Decimal("1.50")],
        "time": at,
        "nothing": None,
        "yes": True,
        "inside": {"deeper": [{"a": 1}, [], {}]},
        "": "no name",
    }
    whole = encode.field_table(written)
    assert unread(flags("headers"), whole).headers == written


def test_a_hundred_thousand_items_are_read_in_no_time() -> None:
    """Copying the rest for each item took six seconds, in which no heartbeat was sent."""
    began = time.process_time()
    properties = table(b"\x01aA" + struct.pack(">I", 130_000) + b"V" * 130_000)
    assert time.process_time() - began < 2
    assert properties.headers == {"a": [None] * 130_000}


@pytest.mark.parametrize("levels", [MOST_LEVELS, MOST_LEVELS + 1])
def test_tables_are_read_so_many_levels_deep(levels: int) -> None:
    headers = table(nested(levels)).headers
    assert bool(headers) is (levels == MOST_LEVELS)


@pytest.mark.parametrize(
    "field",
    [
        b"\x01\xffS\x00\x00\x00\x01a",
        b"\x01aT" + b"\xff" * 8,
        b"\x01a?",
        b"\x01a",
        b"\x7fa",
        b"\x01aS\xff\xff\xff\xffa",
        b"\x01aA\x00\x00\x00\xffV",
        nested(10_000),
    ],
)
def test_headers_that_cannot_be_read_are_none(field: bytes) -> None:
    properties = unread(flags("headers"), struct.pack(">I", len(field)) + field)
    assert (properties.headers, properties.app_id) == ({}, "ok")
