"""`python -m services.scripted`: serves the scripted model until the process is ended."""

from __future__ import annotations

import sys

from services.scripted.app import application
from services.scripted.script import Script
from shared.process import http, runtime
from shared.settings.environment import ScriptedSettings


async def main(this: runtime.Process) -> None:
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


if __name__ == "__main__":
    sys.exit(runtime.run("scripted", main))
