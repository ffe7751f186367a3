"""The page's files: how they are served, and that they need nothing from elsewhere."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from services.gateway import problems
from services.gateway.page import files
from services.gateway.page.files import FOLDER

VENDOR = FOLDER / "vendor"
SOURCES = [it for it in FOLDER.rglob("*.js") if VENDOR not in it.parents]
MOST_LINES = 350


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    problems.install(app)
    app.include_router(files.router)
    return TestClient(app)


def index(client: TestClient, path: str = "/") -> str:
    return client.get(path).text


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/ab12", "/ask", "/agents/bob", "/login"])
def test_each_address_of_the_page_answers_with_its_index(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["cache-control"] == "no-cache"
    assert response.text == index(client)


def test_an_unknown_address_is_not_the_page(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404


def test_every_file_that_the_index_names_is_there_and_kept(client: TestClient) -> None:
    named = re.findall(r'(?:href|src)="(/page/[^"]+)"', index(client))
    assert len(named) > 20
    for path in named:
        response = client.get(path)
        assert response.status_code == 200, path
        assert "immutable" in response.headers["cache-control"]


def test_a_file_of_another_version_is_refused(client: TestClient) -> None:
    assert client.get("/page/000000000000/app.js").status_code == 404


def test_files_are_compressed_for_those_who_take_it(client: TestClient) -> None:
    [path] = re.findall(r'src="(/page/[^"]+/app.js)"', index(client))
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == (FOLDER / "app.js").read_bytes()
    assert int(packed.headers["content-length"]) < len(gzip.compress(plain.content)) + 50


def test_the_policy_allows_no_inline_script_and_no_markup_from_text(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert not re.search(
        r"<script(?! (type=\"module\" )?src=)|<style|style=|\son\w+=", index(client)
    )


def test_modules_import_only_what_is_here() -> None:
    for path in FOLDER.rglob("*.js"):
        for name in re.findall(r'(?:from|import)\s*\(?"([^"]+\.js)"', path.read_text("utf-8")):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"


def test_each_vendored_file_belongs_to_a_pinned_package_with_its_licence() -> None:
    packages = json.loads((FOLDER.parent / "vendored.json").read_text("utf-8"))
    listed = {name for it in packages.values() for name in it["files"].values()}
    assert listed == {it.name for it in VENDOR.iterdir()}
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert any(it.endswith(".LICENSE") for it in package["files"].values()), name


def test_no_module_of_the_page_is_long() -> None:
    assert SOURCES
    for path in SOURCES:
        assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES, path.name
