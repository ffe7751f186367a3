"""The replies of a model that end a run."""

from __future__ import annotations

from services.agent.llm.chat import Completion
from services.agent.loop.work import Outcome, failed
from shared.contract.messages import Status


def reply_outcome(completion: Completion, *, nudged: bool) -> Outcome | None:
    """The outcome that a reply decides, if it ends the run. Tool calls outweigh a finish reason.

    `nudged`: the previous reply was empty too, and the model was asked again.
    """
    if refused := refusal_outcome(completion):
        return refused
    if completion.tool_calls:
        return None
    cut = completion.finish_reason == "length"
    if completion.text and cut:
        return _outcome(Status.PARTIAL, completion.text, "cut off at the model's length limit")
    if completion.text:
        return _outcome(Status.OK, completion.text)
    if cut:
        return failed("the model's reply was cut off before it said anything")
    return failed("the model gave an empty answer twice") if nudged else None


def refusal_outcome(completion: Completion) -> Outcome | None:
    """The outcome of a reply in which the model or its endpoint refuses to answer."""
    if completion.refusal:
        return _outcome(Status.REFUSED, completion.refusal, "the model refused")
    if completion.finish_reason == "content_filter":
        return _outcome(Status.REFUSED, "the endpoint's content filter withheld the answer")
    return None


def _outcome(status: Status, content: str, detail: str | None = None) -> Outcome:
    return Outcome(status=status, content=content, detail=detail)
