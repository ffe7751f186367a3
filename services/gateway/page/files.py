"""The page: static files, which this module serves from memory, compressed.

Files have the hash of all of them in their address, so that a browser keeps them, and never mixes
those of two versions. The page's own addresses (`/runs/…`) all answer with `index.html`, whose
script shows the view.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request, Response

from services.gateway.problems import Problem

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
CHECKED = {"Cache-Control": "no-cache"}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class File:
    plain: bytes
    packed: bytes
    """By gzip."""
    media_type: str

    def response(self, request: Request, caching: dict[str, str]) -> Response:
        headers = SECURITY_HEADERS | caching | {"Vary": "Accept-Encoding"}
        content = self.plain
        if "gzip" in request.headers.get("accept-encoding", ""):
            content = self.packed
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type=self.media_type)


def _file(name: str, content: bytes) -> File:
    media_type = mimetypes.guess_type(name)[0] or "text/plain"
    return File(content, gzip.compress(content, 9, mtime=0), media_type)


@cache
def files() -> dict[str, File]:
    """All files by their path in the folder; `index.html` names the version in its addresses."""
    found = {
        path.relative_to(FOLDER).as_posix(): path.read_bytes()
        for path in sorted(FOLDER.rglob("*"))
        if path.is_file()
    }
    digest = hashlib.sha256()
    for name, content in found.items():
        digest.update(f"{name} {len(content)} ".encode() + content)
    version = digest.hexdigest()[:12].encode()
    modules = [name for name in found if name.endswith(".js") and name != "theme.js"]
    preloads = "\n".join(
        f'<link rel="modulepreload" href="/page/{version.decode()}/{name}">' for name in modules
    )
    found[INDEX] = (
        found[INDEX].replace(b"VERSION", version).replace(b"<!-- PRELOADS -->", preloads.encode())
    )
    return {name: _file(name, content) for name, content in found.items()}


@router.get("/page/{version}/{name:path}")
def file(version: str, name: str, request: Request) -> Response:
    found = files().get(name)
    if found is None or name == INDEX:
        raise Problem(HTTPStatus.NOT_FOUND, f"the page has no file '{name}'")
    return found.response(request, KEPT)


@router.get("/")
@router.get("/login")
@router.get("/ask")
@router.get("/schedules")
@router.get("/agents")
@router.get("/agents/{name}")
@router.get("/runs")
@router.get("/runs/{run_id}")
@router.get("/dead-letters")
@router.get("/dead-letters/{letter_id}")
def index(request: Request) -> Response:
    return files()[INDEX].response(request, CHECKED)
