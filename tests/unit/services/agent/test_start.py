"""A fault on the way to the model is reported at the start, before any task is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.agent.llm.chat import Request, User
from services.agent.llm.client import OpenAIModel
from shared.errors import ModelUnavailable, SettingsError
from tests.support.repository import REPOSITORY

NETWORK = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
SOCKS = "socks5://bob:hidden@proxy.example:1080"


def bare() -> dict[str, str]:
    """The environment without what steers HTTP clients."""
    return {name: it for name, it in os.environ.items() if name.upper() not in NETWORK}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - bare().keys():
        monkeypatch.delenv(name)


def test_settings_that_allow_no_model_call_are_one_sentence_before_the_broker_is_asked(
    tmp_path: Path,
) -> None:
    (tmp_path / "alice.yaml").write_text("name: alice", "utf-8")
    env = bare() | {
        "HUTCH_AGENTS": str(tmp_path),
        "RABBITMQ_URL": "amqp://127.0.0.1:1/",
        "OPENAI_MODEL": "tiny",
        "OPENAI_BASE_URL": "https://127.0.0.1:1/v1",
        "ALL_PROXY": SOCKS,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "services.agent", "alice"],
        env=env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2, ended.stdout
    (sentence,) = ended.stderr.splitlines()
    assert (
        "with ALL_PROXY=socks5://bob:***@proxy.example:1080: ImportError: Using SOCKS" in sentence
    )


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ALL_PROXY", SOCKS, "made with ALL_PROXY=socks5://"),
        ("https_proxy", "gopher://h", "made with https_proxy=gopher://h: "),
        ("HTTP_PROXY", "http://[h", "HTTP_PROXY is no address of a proxy: 'http://[h'"),
        ("HTTP_PROXY", "http://h:99999", "HTTP_PROXY is no address of a proxy"),
        ("all_proxy", "http://", "all_proxy is no address of a proxy"),
        ("SSL_CERT_FILE", "/gone.pem", "SSL_CERT_FILE names something that is not there"),
        ("SSL_CERT_FILE", os.devnull, f"made with SSL_CERT_FILE={os.devnull}: "),
        ("SSL_CERT_DIR", "/gone", "SSL_CERT_DIR names something that is not there: '/gone'"),
    ],
)
async def test_a_variable_that_allows_no_call_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    model = OpenAIModel("tiny", "https://127.0.0.1:1/v1")
    with pytest.raises(SettingsError) as caught:
        await model.warm()
    assert said in str(caught.value)


async def test_while_a_process_runs_it_is_a_model_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run may resume under a model that this process has not opened before."""
    monkeypatch.setenv("SSL_CERT_FILE", "/gone.pem")
    model = OpenAIModel("tiny", "https://127.0.0.1:1/v1", longest_backoff_s=0)
    with pytest.raises(ModelUnavailable, match=r"SSL_CERT_FILE .* '/gone\.pem'"):
        await model.complete(Request([User(content="Hello")]))
