"""Certificates that a test makes for itself: an authority, and those that it has signed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Authority:
    """A CA whose files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, *names: str, common_name: str | None = None) -> Pair:
        """A certificate for these host names and addresses, and its key."""
        issued = self._ca.issue_cert(*names, common_name=common_name)
        pair = Pair(self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key")
        pair.certificate.unlink(missing_ok=True)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(pair.certificate, append=True)
        issued.private_key_pem.write_to_path(pair.key)
        return pair
