"""A whole process each time: a script with a tiny `main`, real signals, real HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from shared.process.runtime import STOP_S
from tests.support.repository import REPOSITORY

WAIT_S = 30.0
START = """
import asyncio, sys
from shared.process import runtime
from shared.errors import BrokerUnavailable
async def main(p):
{body}
sys.exit(runtime.run("agent alice", main, stop_s={stop_s}))
"""
SERVES = """
    p.ready = lambda: ""
    print("serving", flush=True)
"""
DRAIN = f"""{SERVES}
    await p.stopping.wait()
    print("drained", p.stopping.mode, flush=True)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts scripts with this `main` and these variables; none outlives its test."""
    started: list[subprocess.Popen[str]] = []

    def starting(body: str, *, stop_s: float = STOP_S, **variables: str) -> subprocess.Popen[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **variables}
        for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
            environment |= {name: os.environ[name]} if name in os.environ else {}
        script = subprocess.Popen(
            [sys.executable, "-c", START.format(body=body, stop_s=stop_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(script)
        return script

    yield starting
    for script in started:
        script.kill()
        script.communicate(timeout=WAIT_S)


def health_url(script: subprocess.Popen[str]) -> str:
    """Waits for the log line with the port: the signal handlers are set by then."""
    assert script.stdout is not None
    line = json.loads(script.stdout.readline())
    assert line["message"] == "health is served"
    return f"http://{line['host']}:{line['port']}"


def serving(script: subprocess.Popen[str]) -> None:
    health_url(script)
    assert script.stdout is not None
    assert script.stdout.readline() == "serving\n"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_first_signal_asks_for_a_drain_and_the_process_ends_well(start: Start) -> None:
    script = start(DRAIN)
    serving(script)
    script.send_signal(signal.SIGTERM)
    out, err = script.communicate(timeout=WAIT_S)
    assert (script.returncode, out, err) == (0, "drained drain\n", "")


def test_the_second_signal_asks_for_a_stop(start: Start) -> None:
    script = start(f"""{SERVES}
    await p.stopping.wait("drain")
    print("draining", flush=True)
    await p.stopping.wait("stop")
    print("stopped", p.stopping.mode, flush=True)
""")
    serving(script)
    assert script.stdout is not None
    script.send_signal(signal.SIGINT)
    assert script.stdout.readline() == "draining\n"
    script.send_signal(signal.SIGINT)
    out, err = script.communicate(timeout=WAIT_S)
    assert (script.returncode, out, err) == (0, "stopped stop\n", "")


def test_a_drain_that_has_used_up_its_time_becomes_a_stop(start: Start) -> None:
    script = start(
        f"""{SERVES}
    await p.stopping.wait("stop")
    print("handed over", flush=True)
""",
        HUTCH_DRAIN_S="0.1",
    )
    serving(script)
    script.send_signal(signal.SIGTERM)
    out, err = script.communicate(timeout=WAIT_S)
    assert (script.returncode, out, err) == (0, "handed over\n", "")


def test_a_main_that_outlives_its_stop_is_cut_off(start: Start) -> None:
    script = start(
        f"""{SERVES}
    await asyncio.sleep(3600)
""",
        stop_s=0.1,
        HUTCH_DRAIN_S="0.1",
    )
    serving(script)
    script.send_signal(signal.SIGTERM)
    _, err = script.communicate(timeout=WAIT_S)
    assert script.returncode == 1
    assert err.startswith("hutch agent alice: did not end in time and was cut off")


def test_a_process_that_only_starts_ends_at_the_first_signal(start: Start) -> None:
    script = start("""
    print("starting", flush=True)
    await asyncio.sleep(3600)
""")
    url = health_url(script)
    assert script.stdout is not None
    assert script.stdout.readline() == "starting\n"
    assert get(f"{url}/ready") == (503, "starting\n")
    script.send_signal(signal.SIGTERM)
    _, err = script.communicate(timeout=WAIT_S)
    assert (script.returncode, err) == (0, "")


def test_an_error_of_ours_is_one_sentence(start: Start) -> None:
    script = start("""
    raise BrokerUnavailable("no broker at amqp://hutch:s3cret@broker/; is it running?")
""")
    _, err = script.communicate(timeout=WAIT_S)
    assert script.returncode == 1
    assert err == "hutch agent alice: no broker at amqp://hutch:***@broker/; is it running?\n"


def test_an_error_inside_task_groups_is_unwrapped(start: Start) -> None:
    script = start("""
    raise ExceptionGroup("jobs", [
        OSError("elsewhere"), ExceptionGroup("more", [BrokerUnavailable("no broker")]),
    ])
""")
    _, err = script.communicate(timeout=WAIT_S)
    assert err == "hutch agent alice: no broker\n"


def test_debug_adds_the_trace(start: Start) -> None:
    script = start("    raise BrokerUnavailable('no broker')", HUTCH_DEBUG="1")
    _, err = script.communicate(timeout=WAIT_S)
    assert "Traceback (most recent call last)" in err
    assert err.endswith("hutch agent alice: no broker\n")


def test_an_error_in_our_code_is_logged_with_its_place(start: Start) -> None:
    script = start("    {}['nothing']")
    _, err = script.communicate(timeout=WAIT_S)
    assert script.returncode == 1
    assert err.splitlines() == [
        "hutch agent alice: a fault of ours at <string>:6: KeyError: 'nothing'; "
        "HUTCH_DEBUG=1 shows the trace"
    ]


def test_a_wrong_setting_has_exit_code_2(start: Start) -> None:
    script = start(DRAIN, HUTCH_DRAIN_S="soon")
    _, err = script.communicate(timeout=WAIT_S)
    assert script.returncode == 2
    assert err.startswith("hutch agent alice: the variable HUTCH_DRAIN_S is wrong:")


def test_a_health_port_in_use_is_reported(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        _, err = start(DRAIN, HUTCH_HEALTH_PORT=port).communicate(timeout=WAIT_S)
    assert f"can't serve health on 127.0.0.1:{port}: Address already in use" in err


def test_the_health_page_shows_the_reason_that_the_process_gives(start: Start) -> None:
    script = start("""
    p.ready, p.live = lambda: "no broker yet", lambda: "broker silent for 60 s"
    await p.stopping.wait()
""")
    url = health_url(script)
    assert get(f"{url}/ready") == (503, "no broker yet\n")
    assert get(f"{url}/live") == (503, "broker silent for 60 s\n")


def test_a_consuming_process_is_ready_until_it_is_to_end(start: Start) -> None:
    script = start("""
    p.ready = lambda: ""
    await p.stopping.wait("stop")
""")
    url = health_url(script)
    assert get(f"{url}/live") == (200, "ok\n")
    assert get(f"{url}/ready") == (200, "ok\n")
    script.send_signal(signal.SIGTERM)
    assert get(f"{url}/ready") == (503, "stopping\n")
    script.send_signal(signal.SIGTERM)
    script.communicate(timeout=WAIT_S)
    assert script.returncode == 0


def test_metrics_are_served(start: Start) -> None:
    script = start("""
    from shared.telemetry.metrics import Metrics
    Metrics(p.registry).model_calls.inc()
    await p.stopping.wait()
""")
    status, text = get(f"{health_url(script)}/metrics")
    assert status == 200
    assert "hutch_model_calls_total 1.0" in text
    assert "process_resident_memory_bytes" in text
