"""How a model's reply ends a run, where it does."""

from __future__ import annotations

from typing import NamedTuple

from services.agent.llm.chat import Completion
from shared.contract.messages import Status


class End(NamedTuple):
    """`content` is for the requester, `detail` for the operator only."""

    status: Status
    content: str
    detail: str | None = None


def reply_end(completion: Completion, *, nudged: bool) -> End | None:
    """The end that a reply is, if it is one. The presence of calls outweighs its reason.

    `nudged`: the reply before this one was empty too, and the model was told so.
    """
    if end := refusal(completion):
        return end
    if completion.tool_calls:
        return None
    cut = completion.finish_reason == "length"
    if completion.text:
        if cut:
            return End(Status.PARTIAL, completion.text, "cut off at the model's length limit")
        return End(Status.OK, completion.text)
    if cut:
        return End(Status.FAILED, "the model's reply was cut off before it said anything")
    return End(Status.FAILED, "the model gave an empty answer twice") if nudged else None


def refusal(completion: Completion) -> End | None:
    if completion.refusal:
        return End(Status.REFUSED, completion.refusal, "the model refused")
    if completion.finish_reason == "content_filter":
        return End(Status.REFUSED, "the endpoint's content filter withheld the answer")
    return None
