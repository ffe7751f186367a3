from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from shared.telemetry import logs
from shared.telemetry.metrics import Metrics

SECRET = "s3cr3t-value"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def json_log() -> structlog.typing.FilteringBoundLogger:
    """Called by each test itself: a fixture would find the stdout that was before the test."""
    logs.configure("json", "agent alice")
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


@pytest.mark.parametrize(
    "planted",
    [
        {"password": SECRET},
        {"OPENAI_API_KEY": SECRET},
        {"authorization": f"Bearer {SECRET}"},
        {"headers": {"Authorization": SECRET}},
        {"parts": [{"api-key": SECRET}]},
        {"url": f"amqp://hutch:{SECRET}@broker:5672/"},
        {"url": f"postgresql+asyncpg://hutch:{SECRET}@x@db/hutch"},
        {"cause": ValueError(f"refused at amqp://hutch:{SECRET}@broker/")},
        {"said": f"Incorrect API key provided: sk-{SECRET}"},
        {"said": f"the key hk_0123456789ab_{SECRET} is unknown"},
    ],
)
def test_no_secret_reaches_the_log(
    planted: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    json_log().info("connecting", **planted)
    said = capsys.readouterr().out
    assert "connecting" in said
    assert SECRET not in said
    assert logs.MASK in said


def test_a_secret_in_a_trace_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(f"amqp://hutch:{SECRET}@broker/")
    except ValueError:
        json_log().exception("refused")
    said = line(capsys)
    assert "ValueError: amqp://hutch:***@broker/" in str(said["exception"])


def test_a_secret_in_a_librarys_line_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    json_log()
    logging.getLogger("aiormq").warning("retry amqp://hutch:%s@broker/", SECRET)
    said = line(capsys)
    assert said["message"] == "retry amqp://hutch:***@broker/"
    assert (said["level"], said["logger"], said["service"]) == ("warning", "aiormq", "agent alice")


def test_counts_of_tokens_are_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    json_log().info("ended", input_tokens=12, output_tokens=3)
    assert line(capsys)["input_tokens"] == 12


def test_a_log_line_has_its_time_in_utc_and_the_bound_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with structlog.contextvars.bound_contextvars(task="t-1", run="r-1", agent="alice"):
        json_log().info("claimed")
    said = line(capsys)
    assert str(said["time"]).endswith("Z")
    assert (said["task"], said["run"], said["agent"]) == ("t-1", "r-1", "alice")


def test_libraries_are_logged_from_warnings_up(capsys: pytest.CaptureFixture[str]) -> None:
    json_log()
    logging.getLogger("aiormq").info("chatter")
    assert capsys.readouterr().out == ""


def test_each_try_to_connect_is_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    json_log()
    logging.getLogger("aiormq.connection").error("error when creating transport")
    assert capsys.readouterr().out == ""


def test_off_a_terminal_auto_is_json() -> None:
    script = (
        "import structlog; from shared.telemetry import logs;"
        "logs.configure('auto', 'scheduler'); structlog.get_logger().info('hello')"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, timeout=30
    ).stdout
    assert json.loads(out)["message"] == "hello"


def test_console_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console", "agent alice")
    structlog.get_logger().info("claimed", task="t-1")
    said = capsys.readouterr().out
    assert "claimed" in said
    assert "task=t-1" in said


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("value", [Unprintable(), 10**5000], ids=["no text", "endless number"])
def test_a_value_that_cannot_be_written_raises_nothing_and_is_missed(
    value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    json_log().warning("ended", reason=value)
    said = line(capsys)
    assert (said["message"], said["lost"]) == ("log line lost", "ended")


def test_half_a_character_is_written_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    json_log().warning("ended", reason="half \ud83d")
    assert line(capsys)["reason"] == "half \ud83d"


def test_a_full_disk_under_the_log_raises_nothing() -> None:
    script = (
        "import structlog; from shared.telemetry import logs;"
        "logs.configure('json', 'agent alice'); structlog.get_logger().info('hello');"
        "import os; os.write(2, b'alive'); os._exit(0)"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, timeout=30
        )
    assert done.stderr == b"alive"


def test_every_series_is_there_before_anything_happened() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    text = generate_latest(registry).decode()
    assert 'hutch_runs_ended_total{status="failed"} 0.0' in text
    assert 'hutch_runs{state="waiting"} 0.0' in text
    assert 'hutch_runs{state="due"} 0.0' in text
    assert 'hutch_model_failures_total{reason="rate_limited"} 0.0' in text
    for name in ("slots_taken", "runs_open", "mailbox_consuming"):
        assert f"hutch_{name} 0.0" in text
    for name in ("runs_put_off_total", "takeovers_total", "dead_letters_total"):
        assert f"hutch_{name} 0.0" in text
    for name in ("oldest_due_age_seconds", "outbox_oldest_age_seconds"):
        assert f"hutch_{name} 0.0" in text


def test_two_metrics_in_one_process_share_nothing() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first).takeovers.inc()
    Metrics(second)
    assert first.get_sample_value("hutch_takeovers_total") == 1
    assert second.get_sample_value("hutch_takeovers_total") == 0
