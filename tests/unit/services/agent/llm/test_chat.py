from services.agent.llm.chat import Completion, ToolCall

HALF = "\ud83d"
"""Of a surrogate pair: JSON may hold it, UTF-8 may not."""


def test_whatever_an_endpoint_says_can_be_kept() -> None:
    call = ToolCall(id=HALF, name=HALF, arguments=HALF)
    said = Completion(
        content=HALF, refusal=HALF, model=HALF, finish_reason=HALF, tool_calls=(call,)
    )
    assert Completion.model_validate_json(said.model_dump_json()) == said
