"""An agent, carol, whose tool `pay` needs approval, and her manager, alice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.processes.agents import calling
from tests.support.processes.agents import define as define_agents
from tests.support.processes.running import System

TOOL = '''
from pathlib import Path

def pay(order: int) -> str:
    """Pays an order."""
    with Path(__file__).with_name("paid").open("a") as file:
        file.write(f"{order}\\n")
    return f"order {order} is paid"
'''
PAY = '[[call pay {"order": 17}]]'
"""A task for carol."""
BELOW = calling("carol", PAY)
"""A task for alice, who gives it to carol."""


@dataclass(frozen=True)
class Shop:
    system: System
    file: Path

    @property
    def paid(self) -> list[str]:
        """The orders that were paid."""
        return self.file.read_text("utf-8").split() if self.file.exists() else []


def define(system: System, agents: Path) -> Shop:
    tools = agents / "tools"
    tools.mkdir()
    (tools / "orders.py").write_text(TOOL, "utf-8")
    pay = "{function: 'orders.py:pay', approval: always}"
    define_agents(agents, system, alice="workers: [carol]", carol=f"tools: [{pay}]")
    return Shop(system, tools / "paid")
