from __future__ import annotations

from dataclasses import replace

import pytest

from services.agent.llm.chat import Assistant, ChatMessage, System, ToolCall, ToolResult, User
from services.agent.llm.history import EMPTY, fitted
from shared.definitions.models.profiles import Profile

CALL = ToolCall(id="c00010001", name="lookup", arguments="{}")
CALLS = Assistant(content=None, tool_calls=(CALL,))
RESULT = ToolResult(call_id=CALL.id, name="lookup", content="found")
ANY = Profile()


def test_a_history_that_suits_every_endpoint_stays_as_it_is() -> None:
    history: list[ChatMessage] = [System(content="Be brief."), User(content="Hello"), CALLS, RESULT]
    assert fitted(history, ANY) == history


def test_two_texts_of_the_user_are_one() -> None:
    history = [User(content="Hello"), User(content="Your last reply was empty.")]
    assert fitted(history, ANY) == [User(content="Hello\n\nYour last reply was empty.")]


@pytest.mark.parametrize("taken", [True, False])
def test_a_user_text_after_a_result_is_appended_to_it_unless_the_endpoint_takes_it(
    taken: bool,
) -> None:
    said = User(content="Conclude.")
    got = fitted([CALLS, RESULT, said], replace(ANY, user_after_tool=taken))
    joined = RESULT.model_copy(update={"content": "found\n\nConclude."})
    assert got == ([CALLS, RESULT, said] if taken else [CALLS, joined])


def test_white_space_at_the_end_and_empty_texts_are_left_out() -> None:
    history: list[ChatMessage] = [
        System(content=" "),
        User(content="Hello \n"),
        Assistant(content=" \n"),
        User(content="Again"),
        Assistant(content="I look. \n", tool_calls=(CALL,)),
        ToolResult(call_id=CALL.id, name="lookup", content=" "),
    ]
    assert fitted(history, ANY) == [
        User(content="Hello\n\nAgain"),
        Assistant(content="I look.", tool_calls=(CALL,)),
        ToolResult(call_id=CALL.id, name="lookup", content=EMPTY),
    ]


def test_without_a_role_for_it_the_system_text_comes_before_the_first_words_of_the_user() -> None:
    history: list[ChatMessage] = [System(content="Be brief."), User(content="Hello"), CALLS, RESULT]
    without = replace(ANY, system_role=False)
    assert fitted(history, without) == [User(content="Be brief.\n\nHello"), CALLS, RESULT]
    assert fitted(history[:1], without) == [User(content="Be brief.")]


def test_a_text_of_the_model_before_its_calls_is_one_message_with_them() -> None:
    got = fitted([User(content="Hello"), Assistant(content="I look."), CALLS, RESULT], ANY)
    assert got[1] == Assistant(content="I look.", tool_calls=(CALL,))
