"""The scenes of `examples/support`: customers of a shop write to its support desk."""

from __future__ import annotations

from services.cli.demo.stage import Stage


async def play(stage: Stage) -> None:
    """Run all scenes in order."""
    stage.title("A refund of 18.50: refunds reads the shop's policy, and pays")
    wish = "The cups of order 1003 came broken. I want my money back."
    await stage.ask("triage", wish, expected="is made: 18.5 euros")
    stage.title("A customer with a high risk: the policy says no")
    wish = "The espresso machine of order 1005 does not work. I want my money back."
    await stage.ask("triage", wish, expected="is denied")
