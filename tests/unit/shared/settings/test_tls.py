import ssl
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings.tls import check_files, refused


@pytest.mark.parametrize(
    "error",
    [ssl.SSLEOFError(8, "eof"), ssl.SSLZeroReturnError(), ConnectionResetError(), OSError()],
)
def test_a_side_that_hangs_up_or_is_away_has_refused_nothing(error: OSError) -> None:
    assert refused(error) == ""


def test_a_tls_refusal_is_found_in_the_cause_of_a_librarys_error() -> None:
    error = ConnectionError("closed")
    error.__cause__ = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] alert (_ssl.c:1)")
    assert "certificate required" in refused(error)


def test_only_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    query = {"cafile": f"{tmp_path}/ca.pem", "keyfile": f"{tmp_path}/key.pem", "name": "/nowhere"}
    check_files("RABBITMQ_URL", query, ("cafile", "certfile"))
    with pytest.raises(SettingsError, match=r"^RABBITMQ_URL names a keyfile .*key\.pem'$"):
        check_files("RABBITMQ_URL", query, ("cafile", "certfile", "keyfile"))
