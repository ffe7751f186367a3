"""TLS to a real PostgreSQL that lets nobody in without a certificate: all of it from the URL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from shared.errors import SettingsError, StoreError, StoreUnavailable
from shared.store import open_store
from shared.store.migrate import migrate
from tests.certificates import Authority, Pair
from tests.integration.stores import PASSWORD, Postgres, server
from tests.running import until

WAIT_S = 30.0
"""What a start would wait for a store that is away; a refusal is told long before."""

RULES = "hostssl all all all scram-sha-256 clientcert=verify-full\nlocal all all trust\n"
FILES = "/var/lib/postgresql"
OWNER_READS = 0o600


@dataclass(frozen=True)
class Secured:
    server: Postgres
    authority: Authority
    client: Pair

    def url(self, address: str | None = None, **changed: Path | str | None) -> str:
        """As a client should write it; None leaves a part of the query out."""
        parts: dict[str, Path | str | None] = {
            "sslmode": "verify-full",
            "sslrootcert": self.authority.file,
            "sslcert": self.client.certificate,
            "sslkey": self.client.key,
        }
        query = {key: str(value) for key, value in (parts | changed).items() if value is not None}
        url = f"postgresql://hutch:{PASSWORD}@{address or self.server.address}/hutch"
        return make_url(url).set(query=query).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server with a certificate for `localhost`, not for 127.0.0.1."""
    authority = Authority(tmp_path_factory.mktemp("tls") / "ca")
    own, client = authority.issue("localhost"), authority.issue("client", common_name="hutch")
    with server() as running:
        for file, name in ((own.certificate, "cert"), (own.key, "key"), (authority.file, "ca")):
            running.container.copy_into_container(file, f"{FILES}/{name}", OWNER_READS)
            running.sql(f"ALTER SYSTEM SET ssl_{name}_file = '{FILES}/{name}'")
        command = f"chown postgres {FILES}/*; printf '{RULES}' > {FILES}/data/pg_hba.conf"
        assert running.container.exec(["bash", "-c", command]).exit_code == 0
        running.sql("ALTER SYSTEM SET ssl = on")
        running.sql("SELECT pg_reload_conf()")
        until(lambda: running.sql("SHOW ssl") == "on")
        port = running.address.rpartition(":")[2]
        yield Secured(replace(running, address=f"localhost:{port}"), authority, client)


async def test_a_run_of_the_migrations_and_reads_go_over_tls_that_both_sides_verified(
    secured: Secured,
) -> None:
    await migrate(secured.url())
    seen = "SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    async with open_store(secured.url()) as store:
        encrypted, whom = await store.read(lambda db: tuple(db.execute(text(seen)).one()))
    assert encrypted
    assert "/CN=hutch" in whom


async def test_each_thing_that_breaks_trust_is_one_sentence_told_at_once(
    secured: Secured, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    theirs = stranger.issue("client", common_name="hutch")
    port = secured.server.address.rpartition(":")[2]
    trust, entry = "correct sslmode, sslrootcert, sslcert and sslkey in HUTCH_STORE", "HUTCH_STORE"
    cases = {
        secured.url(sslrootcert=stranger.file): (
            "self-signed certificate in certificate chain",
            trust,
        ),
        secured.url(address=f"127.0.0.1:{port}"): ("ip address mismatch", trust),
        secured.url(sslcert=theirs.certificate, sslkey=theirs.key): ("alert unknown ca", trust),
        secured.url(sslkey=theirs.key): ("key values mismatch", trust),
        secured.url(sslrootcert=secured.client.key): ("no certificate or crl found", trust),
        secured.url(sslcert=None, sslkey=None): ("requires a valid client certificate", entry),
        secured.url(sslmode="disable"): ("no encryption", entry),
        secured.url(sslmode="sometimes"): ("`sslmode` parameter must be one of", ""),
    }
    for url, (why, advice) in cases.items():
        began = time.monotonic()
        with pytest.raises(StoreError, match=why) as caught:
            async with open_store(url, start_s=WAIT_S):
                pass
        said = str(caught.value)
        assert not isinstance(caught.value, StoreUnavailable), said
        assert advice in said
        assert "\n" not in said
        assert PASSWORD not in said
        assert time.monotonic() - began < WAIT_S / 2


async def test_a_certificate_that_is_not_there_is_named(secured: Secured) -> None:
    with pytest.raises(SettingsError, match=r"HUTCH_STORE names a sslrootcert.*'/nowhere/ca\.pem'"):
        async with open_store(secured.url(sslrootcert="/nowhere/ca.pem"), start_s=WAIT_S):
            pass


async def test_a_server_without_tls_is_no_store_for_who_insists_on_it(postgresql_url: str) -> None:
    with pytest.raises(StoreError, match=r"no TLS there.*correct sslmode") as caught:
        await migrate(f"{postgresql_url}?sslmode=require")
    assert not isinstance(caught.value, StoreUnavailable)
