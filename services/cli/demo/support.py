"""The scenes of `examples/support`: customers of a shop write to its support desk."""

from __future__ import annotations

import asyncio

from services.cli.demo.stage import Stage

BROKEN = "of order {} came broken. I want my money back."


async def play(stage: Stage) -> None:
    """Run all scenes in order."""
    stage.title("A customer asks: two workers at once; the stock comes from an MCP server")
    question = "Where is order 1004, and is the coffee grinder in stock?"
    await stage.ask("triage", question, expected="the coffee grinder there are 3 pieces")
    stage.title("A refund of 18.50: refunds reads the shop's policy, and pays")
    await stage.ask("triage", f"The cups {BROKEN.format(1003)}", expected="is made: 18.5 euros")
    stage.title("A customer with a high risk: the policy says no")
    wish = f"The espresso machine {BROKEN.format(1005)}"
    await stage.ask("triage", wish, expected="is denied")
    stage.title("A refund above 100: the run is parked until a person approves the call")
    wish = f"The coffee grinder {BROKEN.format(1002)}"
    async with asyncio.TaskGroup() as jobs:
        jobs.create_task(stage.ask("triage", wish, expected="is made: 149.0 euros"))
        await stage.approve("refund")
