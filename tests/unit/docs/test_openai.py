"""The page about OpenAI's clients agrees with the code."""

from __future__ import annotations

import re

import pytest

from services.gateway.openai.conversation import SESSION_HEADERS
from services.gateway.openai.requests import ChatRequest, ResponsesRequest
from services.gateway.openai.wire.endings import ending_of
from shared.contract.messages import Response, Status, Usage
from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs" / "openai.md").read_text("utf-8")
ROWS = {
    cells[0].removeprefix("`").partition("`")[0]: cells
    for line in PAGE.splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 4
    if "before" not in cells[0]
}


@pytest.mark.parametrize("status", Status)
def test_the_table_says_how_a_run_with_each_status_comes_back(status: Status) -> None:
    usage = Usage(model_calls=1)
    ended = ending_of(Response(task_id="t1", agent="bob", status=status, content="", usage=usage))
    _, reason, response, otherwise = ROWS[status]
    assert reason.strip("`") == (ended.finish_reason or "")
    assert re.findall(r"[a-z_]+", response)[0] == ended.status
    assert (ended.incomplete or "") in response
    assert otherwise.strip("`") == (f"422 `{ended.code}" if ended.code else "")


def test_the_page_names_every_field_that_is_read_and_every_header() -> None:
    for request in (ChatRequest, ResponsesRequest):
        for name in request.model_fields:
            assert re.search(rf"`{name}(\.\w+)?`", PAGE), name
    for header in (*SESSION_HEADERS, "X-Hutch-Progress", "X-Hutch-On-Disconnect"):
        assert header in PAGE or header.lower() in PAGE.lower()
