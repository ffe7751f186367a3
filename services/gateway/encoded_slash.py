"""Ids with slashes in paths."""

from __future__ import annotations

import re
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

_ENCODED = re.compile("%2f", re.IGNORECASE)
_MARK = "\udc2f"
"""No URL decodes to a lone surrogate."""


class EncodedSlashRoute(APIRoute):
    """A route where `%2F` is a part of a parameter and `/` is not, so that `/tasks/a%2Fevents` is
    the task `a/events`, and `/tasks/a/events` are the events of the task `a`."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        raw: bytes = scope["raw_path"]
        path = unquote(_ENCODED.sub(_MARK, raw.decode("latin-1")))
        match, child = super().matches({**scope, "path": path})
        if match is not Match.NONE:
            given: dict[str, str] = child["path_params"]
            child["path_params"] = {it: text.replace(_MARK, "/") for it, text in given.items()}
        return match, child
