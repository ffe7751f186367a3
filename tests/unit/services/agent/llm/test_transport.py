"""The certificates of model clients."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from services.agent.llm.transport import tls_context


def test_certificates_are_read_once_until_their_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = trustme.CA(), trustme.CA()
    file = tmp_path / "certificates.pem"
    one.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    before = tls_context()
    assert tls_context() is before
    two.cert_pem.write_to_path(str(file), append=True)
    assert len(tls_context().get_ca_certs()) == 2
