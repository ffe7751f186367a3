"""A vhost whose users are divided: what `hutch topology --users` prints, imported."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.repository import REPOSITORY


@dataclass(frozen=True)
class Divided:
    rabbit: Rabbit
    folder: Path
    """A file for each user."""

    @contextmanager
    def channel(self, user: str) -> Iterator[BlockingChannel]:
        """A channel of this user's, with confirms."""
        with _channel((self.folder / user).read_text("utf-8").strip()) as channel:
            yield channel

    @contextmanager
    def all_powerful(self) -> Iterator[BlockingChannel]:
        """A channel of the administrator's, who has every right."""
        with _channel(self.rabbit.url) as channel:
            yield channel

    def env(self, user: str) -> dict[str, str]:
        """The settings of a process with this user."""
        return {"RABBITMQ_URL": "", "RABBITMQ_URL_FILE": str(self.folder / user)}


@contextmanager
def _channel(url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def divide(rabbit: Rabbit, folder: Path, agents: Path = REPOSITORY / "agents") -> Divided:
    """Prints, and imports as an operator does; existing users get these passwords."""
    printed = subprocess.run(
        [sys.executable, "-m", "services.cli", "topology", "--users", str(folder)],
        env=os.environ | {"RABBITMQ_URL": rabbit.url, "HUTCH_AGENTS": str(agents)},
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    definitions = base64.b64encode(printed).decode()
    importing = f'rabbit_definitions:import_raw(base64:decode(<<"{definitions}">>)).'
    assert rabbit.ctl("eval", importing) == "ok"
    return Divided(rabbit, folder)
