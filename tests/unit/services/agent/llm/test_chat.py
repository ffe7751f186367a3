from services.agent.llm.chat import Completion, ToolCall

HALF = "\ud83d"
"""Of a surrogate pair: JSON may hold it, UTF-8 may not."""


def test_every_reply_of_an_endpoint_can_be_stored() -> None:
    call = ToolCall(id=HALF, name=HALF, arguments=HALF)
    said = Completion(
        content=HALF, refusal=HALF, model=HALF, finish_reason=HALF, tool_calls=(call,)
    )
    assert Completion.model_validate_json(said.model_dump_json()) == said
