from __future__ import annotations

import pytest
import typer

from services.cli.answer import ending, print_answer
from shared.contract.messages import Response, Status

LATE = Response(task_id="t1", agent="bob", status=Status.TIMEOUT, content="no answer within 9 s")


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("its model failed once", "bob has ended with: timeout: its model failed once"),
        ("", "bob has ended with: timeout"),
        (None, "bob has ended with: timeout; 'hutch show t1' says why"),
    ],
)
def test_an_end_that_is_not_ok_is_named_with_its_reason(detail: str | None, said: str) -> None:
    assert ending("bob", LATE, detail) == said


@pytest.mark.parametrize(
    ("content", "detail", "said"),
    [
        (
            "the model's endpoint refused the key",
            "the model's endpoint said Error code: 401 - wrong key",
            "failed: Error code: 401 - wrong key",
        ),
        ("given up: 5 processes have died on it", "5 processes have died on it", "failed"),
    ],
)
def test_a_reason_that_the_response_has_is_not_repeated(
    content: str, detail: str, said: str
) -> None:
    refused = LATE.model_copy(update={"status": Status.FAILED, "content": content})
    assert ending("bob", refused, detail) == f"bob has ended with: {said}"


def test_a_refusal_by_another_agents_process_is_not_called_that_agents_end() -> None:
    refused = LATE.model_copy(update={"status": Status.REFUSED, "agent": "alice"})
    assert ending("bob", refused, "") == (
        "a process of alice has refused it for bob, which its folder of agents does not have"
    )


def test_an_answer_of_the_scripted_model_is_marked_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripted = LATE.model_copy(update={"status": Status.OK, "model": "scripted", "content": "Hi."})
    print_answer("bob", scripted, "", None, json=False)
    assert capsys.readouterr() == (
        "Hi.\n",
        "[scripted] the scripted model has written this: no model was asked\n",
    )
    print_answer("bob", scripted.model_copy(update={"model": "tiny"}), "", None, json=False)
    assert capsys.readouterr().err == ""
    with pytest.raises(typer.Exit) as failed:
        print_answer("bob", LATE, "why", None, json=True)
    assert failed.value.exit_code == 1
    assert capsys.readouterr().err == ""
