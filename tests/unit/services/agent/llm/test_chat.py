import pytest

from services.agent.llm.chat import Completion, Kept, ToolCall
from shared.contract.messages import Usage

HALF = "\ud83d"
"""Half of a surrogate pair: JSON may contain it, UTF-8 may not."""


def test_every_reply_of_an_endpoint_can_be_stored() -> None:
    call = ToolCall(id=HALF, name=HALF, arguments=HALF)
    said = Completion(
        content=HALF, refusal=HALF, model=HALF, finish_reason=HALF, tool_calls=(call,)
    )
    assert Completion.model_validate_json(said.model_dump_json()) == said


def test_the_parts_for_the_endpoint_alone_can_be_kept_with_what_nothing_else_can_hold() -> None:
    odd = {HALF: [f"\0{HALF}", {"a": 1.5}, None]}
    said = Completion(kept=Kept(origin="here tiny", message=odd, calls=(odd, {}), items=(odd,)))
    read = Completion.model_validate_json(said.model_dump_json())
    assert read == said
    assert read.kept
    assert read.kept.message == {"?": ["\0?", {"a": 1.5}, None]}


@pytest.mark.parametrize("field", ["kept", "cached_tokens", "reasoning_tokens"])
def test_a_journal_holds_nothing_that_earlier_versions_cannot_read_unless_it_is_needed(
    field: str,
) -> None:
    assert field not in Completion(content="Hi.", usage=Usage(input_tokens=3)).model_dump_json()
