from __future__ import annotations

import pytest

from services.gateway.webhooks.destination import Unreachable, checked, destination


@pytest.mark.parametrize(
    "address",
    [
        "ftp://example.com",
        "http://example.com/a",
        "https://",
        "https://user:secret@example.com",
        "https://example.com/#part",
        "https://" + "a" * 3000,
        "no address",
        "https://[::1",
    ],
)
def test_an_address_that_no_webhook_may_have_is_refused_in_one_sentence(address: str) -> None:
    with pytest.raises(Unreachable) as error:
        checked(address, ())
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1/a",
        "https://localhost/a",
        "https://10.1.2.3:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0.0.0.0/",
        "https://" + "a" * 64 + ".example/",
        "https://a..example/",
    ],
)
async def test_an_address_in_a_private_network_is_not_reached(address: str) -> None:
    with pytest.raises(Unreachable):
        await destination(address, ())


async def test_a_private_host_that_the_settings_name_is_reached_without_tls_too() -> None:
    found = await destination("http://localhost:8080/a?b=c", {"localhost"})
    assert found.host == "localhost:8080"
    assert found.request_url.host in {"127.0.0.1", "::1"}
    assert (found.request_url.port, found.request_url.raw_path) == (8080, b"/a?b=c")


async def test_a_request_goes_to_the_server_that_was_checked() -> None:
    found = await destination("https://1.1.1.1/a", ())
    assert str(found.request_url) == "https://1.1.1.1/a"
