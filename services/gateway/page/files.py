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

from services.gateway.access.guard import HEADERS
from services.gateway.problems import Problem

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
NOT_PRELOADED = {"theme.js", "chart.js", "vendor/uplot.js"}
"""The first is no module; the others are only loaded for the overview."""
VIEWS = (
    "/",
    "/login",
    "/ask",
    "/approvals",
    "/schedules",
    "/agents",
    "/agents/{name}",
    "/runs",
    "/runs/{run}",
    "/dead-letters",
    "/dead-letters/{id}",
)
POLICY = {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"]
    + "; require-trusted-types-for 'script'; trusted-types 'none'"
}
"""No script of the page can turn text into markup: the browser refuses to assign to `innerHTML`."""
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
        headers = POLICY | caching | {"Vary": "Accept-Encoding"}
        content = self.plain
        if "gzip" in request.headers.get("accept-encoding", ""):
            content = self.packed
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type=self.media_type)


def _file(name: str, content: bytes) -> File:
    media_type = mimetypes.guess_type(name)[0] or "text/plain"
    return File(content, gzip.compress(content, 9, mtime=0), media_type)


class Files:
    """All files by their path in the folder; `index.html` names the version in its addresses."""

    def __init__(self, folder: Path) -> None:
        found = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        digest = hashlib.sha256()
        for name, content in found.items():
            digest.update(f"{name} {len(content)} ".encode() + content)
        self.version = digest.hexdigest()[:12]
        modules = [name for name in found if name.endswith(".js") and name not in NOT_PRELOADED]
        preloads = "\n".join(
            f'<link rel="modulepreload" href="/page/VERSION/{name}">' for name in modules
        )
        index = found[INDEX].decode().replace("<!-- PRELOADS -->", preloads)
        found[INDEX] = index.replace("VERSION", self.version).encode()
        self._files = {name: _file(name, content) for name, content in found.items()}

    def get(self, name: str) -> File | None:
        return self._files.get(name)

    @property
    def index(self) -> File:
        return self._files[INDEX]


@cache
def files() -> Files:
    return Files(FOLDER)


@router.get("/page/{version}/{name:path}")
def file(version: str, name: str, request: Request) -> Response:
    """A file of this version. One of another version would be kept under a wrong address."""
    page = files()
    found = page.get(name)
    if found is None or name == INDEX or version != page.version:
        raise Problem(HTTPStatus.NOT_FOUND, f"version {version} of the page has no file '{name}'")
    return found.response(request, KEPT)


def index(request: Request) -> Response:
    return files().index.response(request, CHECKED)


for path in VIEWS:
    router.add_api_route(path, index, methods=["GET", "HEAD"])
