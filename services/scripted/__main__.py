"""`python -m services.scripted`: serves the scripted model until the process is ended."""

from __future__ import annotations

import sys

from services.scripted.app import application
from services.scripted.script import Script
from shared.process import http, runtime
from shared.settings.environment import ScriptedSettings


async def serve(this: runtime.Process) -> None:
    settings = ScriptedSettings.from_environment()
    async with http.serving(
        application(Script.shipped()),
        settings.host,
        settings.port,
        what="the scripted model",
        variables="HUTCH_SCRIPTED_HOST and HUTCH_SCRIPTED_PORT",
    ):
        this.ready = lambda: ""
        await this.stopping.wait()


def main() -> int:
    """Run the scripted model's process; returns its exit code."""
    return runtime.run("scripted", serve)


if __name__ == "__main__":
    sys.exit(main())
