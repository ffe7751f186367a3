"""PostgreSQL for the session, and a fresh database in it for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.machine import need_image

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # read when it is imported

from testcontainers.community.postgres import PostgresContainer

IMAGE = "postgres:17"
PASSWORD = "s3cret-of-the-test"
_numbers = itertools.count()


@dataclass(frozen=True)
class Postgres:
    """A server that runs for the whole session."""

    address: str
    version: str
    container: PostgresContainer

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql://hutch:{password}@{self.address}/{database}"

    def sql(self, statement: str) -> str:
        command = ["psql", "-U", "hutch", "-d", "postgres", "-At", "-c", statement]
        done = self.container.exec(command)
        said: str = done.output.decode().strip()
        assert done.exit_code == 0, said
        return said

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database."""
        name = f"test_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        yield self.url(name)
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def away(self, database: str) -> Iterator[None]:
        """One database refuses all connections, as a server that restarts does."""
        name = database.rpartition("/")[2]
        self.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{name}'")
        try:
            yield
        finally:
            self.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The whole server stands still, with its connections open."""
        container = self.container.get_wrapped_container()
        container.pause()
        try:
            yield
        finally:
            container.unpause()


@contextmanager
def server(*, max_connections: int = 100) -> Iterator[Postgres]:
    need_image(IMAGE)
    container = (
        PostgresContainer(IMAGE, username="hutch", password=PASSWORD, dbname="hutch", driver=None)
        .with_command(f"postgres -c max_connections={max_connections}")
        .start()
    )
    try:
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(5432)}"
        running = Postgres(address, "", container)
        yield Postgres(address, running.sql("SHOW server_version"), container)
    finally:
        container.stop()
