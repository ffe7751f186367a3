import pytest

from shared.errors import BrokerError, StoreError
from shared.patience import insist


class Flaky:
    """Fails as often as it is told to, then succeeds."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    async def attempt(self) -> str:
        if self.left:
            self.left -= 1
            raise BrokerError(f"{self.left} more")
        return "done"


async def test_an_attempt_is_repeated_until_it_succeeds_and_each_failure_is_told() -> None:
    told: list[str] = []
    done = await insist(
        Flaky(3).attempt, BrokerError, most_s=0.01, told=lambda error: told.append(str(error))
    )
    assert done == "done"
    assert told == ["2 more", "1 more", "0 more"]


async def test_another_failure_is_raised_at_once() -> None:
    told: list[Exception] = []
    with pytest.raises(BrokerError):
        await insist(Flaky(1).attempt, StoreError, most_s=0.01, told=told.append)
    assert told == []


async def test_without_patience_left_the_failure_is_raised() -> None:
    told: list[Exception] = []
    with pytest.raises(BrokerError, match="1 more"):
        await insist(Flaky(2).attempt, BrokerError, most_s=0.01, told=told.append, patience_s=0)
    assert len(told) == 1
