"""The base URL of a model's endpoint."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_URL = re.compile(
    r"https?://([^\s/?#@]*@)?(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)"
    r"(:(?P<port>[0-9]{1,5}))?([/?#]\S*)?",
    re.IGNORECASE,
)


def url_fault(text: str) -> str:
    """The fault of a model's base URL; empty: requests can be sent to it."""
    match = _URL.fullmatch(text)
    try:
        url = urlsplit(text)
        found = match is not None and text.isprintable() and _is_reachable(match)
    except ValueError:  # an address such as [1.2]
        found = False
    if not found:
        return "the model's base URL must be like https://host/v1"
    if not (url.hostname or "").endswith(".openai.azure.com"):
        return ""
    deployment = "/openai/deployments/" in url.path and "api-version=" in url.query
    if deployment or url.path.rstrip("/").endswith("/openai/v1"):
        return ""
    return (
        "the base URL of an Azure model is https://NAME.openai.azure.com/openai/v1, or that of a "
        "deployment with its version: "
        "https://NAME.openai.azure.com/openai/deployments/NAME?api-version=2024-10-21"
    )


def _is_reachable(url: re.Match[str]) -> bool:
    """Whether a name server can look up the host, and there is such a port."""
    try:
        url["host"].encode("idna")
    except UnicodeError:
        return False
    return url["port"] is None or 0 < int(url["port"]) < 1 << 16
