"""Whether a browser sends a request for a page of another site.

A browser adds a cookie to requests that other sites' pages cause, and reaches a gateway on loopback
for them. It says so in headers that no page can change.
"""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import Request

from services.gateway.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_PRIVATE = (".localhost", ".internal")
"""Endings of names that no public DNS serves; a container has `host.docker.internal`."""


def check_origin(request: Request, *, browser: bool) -> None:
    """Raise 403 for a request that changes something and was caused by another site's page.

    With `browser` it surely comes from a browser, so it must say where from.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
    if site is not None:
        same = site == "same-origin"
    elif origin is not None:
        same = _site(origin) == request.headers.get("host", "").lower()
    else:
        same = not browser
    if not same:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "this request comes from another site's page: only the gateway's own page may send it; "
            "a program sends its key as 'Authorization: Bearer …' instead of the cookie",
        )


def check_host(request: Request) -> None:
    """Raise 403 if the request names the gateway by a name that a stranger's DNS may serve.

    Otherwise a page could point its own name at 127.0.0.1 after it has loaded, and then read
    everything: for the browser it would be the same site.
    """
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if not _is_private(name):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"without a key the gateway is used as 'localhost', not as '{host}': "
            "'hutch keys add NAME' makes a key",
        )


def _site(origin: str) -> str:
    return origin.lower().partition("://")[2]


def _is_private(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_PRIVATE))
    return True
