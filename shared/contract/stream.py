"""The pieces of a run's text that are published while the model writes it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.contract.messages import Count, Frozen, Label


class StreamPart(Frozen):
    """A piece of a run's text, as the model writes it. It can be lost: the response is the answer.

    A part with a higher `(epoch, attempt)` begins its turn anew, and one with a higher `retry` the
    turn's reply: what came before of this turn, or of a later one, is void.
    """

    type: Literal["stream_part"] = "stream_part"
    run_id: Label
    epoch: Count = Field(description="how often the run was replayed, plus one")
    attempt: Count = Field(description="increases each time that a process resumes the run")
    turn: Count = Field(description="from 1; the text of a turn that ends in calls is sent too")
    retry: Count = Field(default=0, description="how often the model has begun this reply again")
    sequence: Count = Field(description="from 0 in each reply; a gap means that parts were lost")
    text: str
