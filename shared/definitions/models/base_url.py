"""The base URL of a model's endpoint."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Annotated

from pydantic import AfterValidator

_URL = re.compile(
    r"https?://([^\s/?#@]*@)?(\[(?P<ip>[0-9a-f:.]+)\]|(?P<host>[^\s/?#@:\[\]]+))"
    r"(:(?P<port>[0-9]{1,5}))?(?P<path>/[^\s?#]*)?(?P<query>\?[^\s#]*)?(#\S*)?",
    re.IGNORECASE,
)


def url_fault(text: str) -> str:
    """The fault of a model's base URL; empty: requests can be sent to it."""
    url = _URL.fullmatch(text)
    if url is None or not text.isprintable() or not _is_reachable(url):
        return "the model's base URL must be like https://host/v1"
    if not (url["host"] or "").lower().endswith(".openai.azure.com"):
        return ""
    path, query = url["path"] or "", url["query"] or ""
    deployment = "/openai/deployments/" in path and "api-version=" in query
    if deployment or path.rstrip("/").endswith("/openai/v1"):
        return ""
    return (
        "the base URL of an Azure model is https://NAME.openai.azure.com/openai/v1, or that of a "
        "deployment with its version: "
        "https://NAME.openai.azure.com/openai/deployments/NAME?api-version=2024-10-21"
    )


def _is_reachable(url: re.Match[str]) -> bool:
    """Whether a name server can look up the host, and there is such a port."""
    try:
        if url["ip"]:
            IPv6Address(url["ip"])
        else:
            url["host"].encode("idna")
    except ValueError:
        return False
    return url["port"] is None or 0 < int(url["port"]) < 1 << 16


def _checked(value: str) -> str:
    if value and (fault := url_fault(value)):
        raise ValueError(fault)
    return value


BaseUrl = Annotated[str, AfterValidator(_checked)]
"""The field `base_url` in an agent's file; an empty one counts as absent."""
