from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from pamqp.commands import Basic

from shared.broker.lenient import read_leniently


@pytest.fixture(autouse=True)
def lenient() -> None:
    read_leniently()


def unread(flag: int, raw: bytes) -> Basic.Properties:
    properties = Basic.Properties()
    properties.unmarshal(flag, raw + b"\x02ok")
    return properties


def flags(name: str) -> int:
    return Basic.Properties.flags[name] | Basic.Properties.flags["app_id"]


def test_a_text_that_is_not_utf8_says_so_and_harms_nothing_after_it() -> None:
    properties = unread(flags("message_id"), b"\x02\xff!")
    assert (properties.message_id, properties.app_id) == ("\ufffd!", "ok")


def test_a_text_that_is_not_utf8_can_be_sent_on() -> None:
    properties = unread(flags("message_id"), b"\xff" * 256)
    assert properties.message_id == "\ufffd" * 85
    assert Basic.Properties(message_id=properties.message_id).marshal()


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


@pytest.mark.parametrize(
    "field",
    [b"\x01\xffS\x00\x00\x00\x01a", b"\x01aT" + b"\xff" * 8, b"\x01a?", nested(10_000)],
)
def test_headers_that_can_not_be_read_are_none(field: bytes) -> None:
    properties = unread(flags("headers"), struct.pack(">I", len(field)) + field)
    assert (properties.headers, properties.app_id) == ({}, "ok")
