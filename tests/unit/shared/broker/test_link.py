import pytest

from shared.broker.link import Link, parsed
from shared.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "port"), [("amqp://broker/", 5672), ("amqps://broker", 5671), ("amqp://broker:7/x", 7)]
)
def test_an_address_has_the_port_of_its_scheme(url: str, port: int) -> None:
    assert parsed(url).port == port


@pytest.mark.parametrize("url", ["", "broker", "http://secret@broker/", "amqp://", "amqp://x:y:z/"])
def test_anything_else_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="write amqp://user") as refused:
        parsed(url)
    assert "secret" not in str(refused.value)


async def test_a_link_that_was_never_opened_is_neither_ready_nor_blocked() -> None:
    link = Link("amqp://broker/", "test")
    assert not link.ready
    assert not await link.blocked()
    await link.close()
