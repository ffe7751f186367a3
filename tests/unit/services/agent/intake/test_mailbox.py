from __future__ import annotations

from dataclasses import replace

import pytest

from services.agent.intake.mailbox import check_expiration
from shared.errors import BadMessage
from tests.support.processes.instances import delivery


def test_a_task_with_a_time_to_live_is_refused_in_favour_of_a_deadline() -> None:
    with pytest.raises(BadMessage, match="put a `deadline` in the body instead"):
        check_expiration(replace(delivery(b"x"), expiration="60000"))
