"""Fetches the packages of the gateway's page from npm: `make vendor`.

`vendored.json` beside the page names each package, its version, the hash that npm publishes for its
archive, and the files that the page uses. A new version is a new `version` and `integrity` there
(`npm view NAME@VERSION dist.integrity`). Archives with another hash are refused. Files stay as they
are, but for the names of modules: a browser finds `./preact.js`, and not `preact`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

PAGE = Path(__file__).parents[1] / "services" / "gateway" / "page"
FOLDER = PAGE / "static" / "vendor"
SOURCE_MAP = b"//# sourceMappingURL="


def archive(name: str, version: str, integrity: str, folder: Path) -> Path:
    """The package's archive, fetched by npm into the folder."""
    command = ["npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    path = folder / done.stdout.split()[-1]
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != integrity:
        sys.exit(f"vendor: {name} {version} has the hash sha512-{digest}, not {integrity}")
    return path


def adapted(content: bytes) -> bytes:
    """A module that imports its neighbours by path, without the name of a map that is not here."""
    lines = content.replace(b'from"preact"', b'from"./preact.js"').splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(SOURCE_MAP))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    packages = json.loads((PAGE / "vendored.json").read_text("utf-8"))
    for name, package in packages.items():
        with TemporaryDirectory() as folder:
            path = archive(name, package["version"], package["integrity"], Path(folder))
            with tarfile.open(path) as tar:
                for inside, target in package["files"].items():
                    file = tar.extractfile(f"package/{inside}")
                    if file is None:
                        sys.exit(f"vendor: {name} {package['version']} has no file {inside}")
                    (FOLDER / target).write_bytes(adapted(file.read()))


if __name__ == "__main__":
    main()
