"""The base URLs that requests can be sent to."""

from __future__ import annotations

import pytest

from shared.definitions.models.base_url import url_fault


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8080/v1", "https://user@host/v1?x=1", "http://[::1]:1", "HTTP://münchen.de"],
)
def test_a_url_has_a_host_that_can_be_asked(url: str) -> None:
    assert not url_fault(url)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://host/",
        "http://",
        "http://[",
        "http://[1.2]/",
        "http://h:x",
        "http://h:0",
        "http://h:65536",
        "http://a..b/",
        "http://h/v1\n",
        "http://h /v1",
        f"http://{'h' * 64}/",
    ],
)
def test_a_url_that_no_request_can_be_sent_to_is_refused(url: str) -> None:
    assert url_fault(url)


@pytest.mark.parametrize("end", ["", "/openai", "/openai/deployments/gpt"])
def test_an_address_of_azure_without_a_model_is_refused_with_both_forms(end: str) -> None:
    assert "/openai/v1, or that of a deployment" in url_fault(f"https://my.openai.azure.com{end}")


def test_both_addresses_of_azure_are_taken() -> None:
    deployment = "/openai/deployments/gpt?api-version=2024-10-21"
    assert not any(
        url_fault(f"https://my.openai.azure.com{it}") for it in ("/openai/v1/", deployment)
    )
