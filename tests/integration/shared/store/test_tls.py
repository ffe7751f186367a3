"""TLS to a real PostgreSQL that requires client certificates, configured by the URL alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.errors import SettingsError, StoreError, StoreUnavailable
from shared.store import open_store
from shared.store.database.migrate import migrate
from tests.support.brokers.secured import SecuredStore, secured_store
from tests.support.network.certificates import Authority
from tests.support.stores.postgresql import PASSWORD

WAIT_S = 30.0
"""A start would wait so long for a store that is away; a refusal is reported long before."""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredStore]:
    with secured_store(tmp_path_factory.mktemp("tls")) as running:
        yield running


async def test_a_run_of_the_migrations_and_reads_go_over_tls_that_both_sides_verified(
    secured: SecuredStore,
) -> None:
    await migrate(secured.url())
    seen = "SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    async with open_store(secured.url()) as store:
        encrypted, subject = await store.read(lambda db: tuple(db.execute(text(seen)).one()))
    assert encrypted
    assert "/CN=hutch" in subject


@pytest.mark.essential
async def test_each_cause_of_distrust_is_reported_at_once_in_one_sentence(
    secured: SecuredStore, tmp_path: Path
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


async def test_a_certificate_that_is_not_there_is_named(secured: SecuredStore) -> None:
    with pytest.raises(SettingsError, match=r"HUTCH_STORE names a sslrootcert.*'/nowhere/ca\.pem'"):
        async with open_store(secured.url(sslrootcert="/nowhere/ca.pem"), start_s=WAIT_S):
            pass


async def test_a_server_without_tls_is_refused_where_the_url_requires_tls(
    postgresql_url: str,
) -> None:
    with pytest.raises(StoreError, match=r"no TLS there.*correct sslmode") as caught:
        await migrate(f"{postgresql_url}?sslmode=require")
    assert not isinstance(caught.value, StoreUnavailable)
