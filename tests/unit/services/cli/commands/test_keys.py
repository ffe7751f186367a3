from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command_line import hutch


@pytest.fixture(autouse=True)
def store(folder: Path) -> Path:
    assert hutch("migrate").exit_code == 0
    return folder.parent / "hutch.db"


def rows(store: Path, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(store)) as opened:
        return opened.execute(query).fetchall()


def test_only_the_key_is_printed_so_that_a_script_can_keep_it() -> None:
    made = hutch("keys", "add", "laptop")
    assert re.fullmatch(r"hk_[0-9a-f]{12}_[0-9a-f]{64}\n", made.stdout)
    assert made.stderr == "the key 'laptop', scope run, for all agents: it is shown only now\n"


def test_keys_are_listed_without_their_secrets() -> None:
    assert hutch("keys", "list").stdout == "no keys: 'hutch keys add NAME' makes one\n"
    key = hutch("keys", "add", "ci", "--scope", "operate", "--agent", "bob").stdout.strip()
    listed, as_json = hutch("keys", "list").stdout, hutch("keys", "list", "--json").stdout
    assert re.search(r"^ci +operate +bob ", listed, re.MULTILINE)
    (found,) = json.loads(as_json)
    assert (found["name"], found["scope"], found["agents"]) == ("ci", "operate", ["bob"])
    assert "hash" not in found
    assert key.rpartition("_")[2] not in listed + as_json


def test_a_revoked_key_stays_listed_and_an_unknown_one_is_an_error() -> None:
    hutch("keys", "add", "laptop")
    assert hutch("keys", "revoke", "laptop").stdout == "the key 'laptop' is revoked\n"
    (found,) = json.loads(hutch("keys", "list", "--json").stdout)
    assert found["revoked_at"]
    unknown = hutch("keys", "revoke", "phone")
    assert unknown.exit_code == 1
    assert unknown.stderr == "hutch: there is no key 'phone': 'hutch keys list' has all\n"


def test_the_audit_table_has_who_was_given_a_key_but_not_the_key(store: Path) -> None:
    key = hutch("keys", "add", "ci", "--agent", "bob").stdout.strip()
    hutch("keys", "revoke", "ci")
    found = rows(store, "SELECT key_name, action, subject, detail FROM audit ORDER BY seq")
    assert found == [
        ("hutch keys", "key.add", "ci", "run: bob"),
        ("hutch keys", "key.revoke", "ci", ""),
    ]
    assert key.rpartition("_")[2].encode() not in store.read_bytes()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 81])
def test_a_name_that_no_list_can_show_is_refused(store: Path, name: str) -> None:
    refused = hutch("keys", "add", name)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "a key's name has 1 to 80 characters" in refused.stderr
    assert rows(store, "SELECT name FROM api_keys") == []


def test_an_unknown_scope_is_refused_and_an_unknown_agent_remarked_on() -> None:
    assert hutch("keys", "add", "ci", "--scope", "admin").exit_code == 2
    assert hutch("keys", "add", "ci", "--agent", "Bob").exit_code == 2
    assert "did you mean alice?" in hutch("keys", "add", "ci", "--agent", "alcie").stderr
