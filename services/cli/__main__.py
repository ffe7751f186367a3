"""The command line: `hutch …`, or `python -m services.cli …`.

A new command is a function of its name in `services/cli/commands/` and a row in `COMMANDS`.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "demo": (
        "demo",
        "Run the shipped examples with the scripted model, and end everything afterwards.",
    ),
    "init": ("init", "Create a folder with two agents, a compose file and a Dockerfile."),
    "up": (
        "up",
        "Run the agents and the scheduler until Ctrl-C; starts a broker if none is set.",
    ),
    "restart": (
        "restart",
        "Finish what an agent's processes under 'hutch up' run, and start them again.",
    ),
    "scale": (
        "restart",
        "Run this many processes of an agent under 'hutch up', until that ends.",
    ),
    "logs": (
        "logs",
        "Print the log lines of the agents that 'hutch up' runs, or has run, in this folder.",
    ),
    "down": (
        "down",
        "End every 'hutch up' of this folder: agents finish what they run, then the broker ends.",
    ),
    "ask": ("ask", "Give an agent a task and wait for its response."),
    "send": (
        "send",
        "Give an agent a task without waiting; prints the task's id, for 'hutch show'.",
    ),
    "trigger": ("send", "Wake an agent; prints the trigger's id, for 'hutch show'."),
    "broadcast": (
        "send",
        "Wake every member of a swarm; prints the trigger's id, for 'hutch show'.",
    ),
    "cancel": (
        "cancel",
        "Cancel a task's run and every run that it has caused, in all processes.",
    ),
    "pause": (
        "pause",
        "Stop an agent from starting runs and calling models, until it is unpaused.",
    ),
    "unpause": (
        "pause",
        "End the pause of an agent; 'all' also unpauses agents that were paused by name.",
    ),
    "shutdown": (
        "shutdown",
        "End an agent's processes, ahead of any backlog; its mailbox keeps its messages.",
    ),
    "status": ("status", "Show each agent's processes, its mailbox and its runs."),
    "runs": ("runs", "List runs, the newest first."),
    "show": (
        "show",
        "Show a run: its task, its steps, its response, and the runs that it has caused.",
    ),
    "dead": ("dead", "List, show, replay and drop dead letters."),
    "forget": (
        "forget",
        "Delete a session's ended runs with their texts; refused while one of them is open.",
    ),
    "check": (
        "check",
        "Check the agents' files; a fault means exit code 2, advice does not change it.",
    ),
    "topology": (
        "topology",
        "Print RabbitMQ's definitions.json, for 'rabbitmqctl import_definitions'.",
    ),
    "k8s": (
        "k8s",
        "Print an agent's Deployment and disruption budget, for k8s/base/AGENT.yaml.",
    ),
    "migrate": (
        "migrate",
        "Create the store's tables, or migrate them to this version; safe to repeat.",
    ),
}
"""In the order of `hutch --help`: each command's module, and the first line of its help."""


class Commands(TyperGroup):
    """Imports a command's module when the command is used, so that `hutch --help` is quick.

    Until then `TyperCommand`s with the help of `COMMANDS` stand in for the commands. A failure of
    a command is one sentence on stderr and the error's exit code.
    """

    def __init__(self, **settings: Any) -> None:  # passed to typer unchanged
        super().__init__(**settings)
        for name, (_, help) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=help))

    def resolve_command(
        self,
        ctx: Any,  # typer's own Context: it has no public name
        args: list[str],
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest

    def invoke(self, ctx: Any) -> object:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:
            from shared.process.runtime import report_failure  # imports settings, HTTP and metrics

            raise typer.Exit(report_failure("hutch", error, trace=ctx.params["debug"])) from error


def load(name: str) -> TyperCommand | TyperGroup:
    """The command itself, from its module."""
    module, _ = COMMANDS[name]
    found = getattr(import_module(f"services.cli.commands.{module}"), name)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False)
        found.command(name)(function)
    command = typer.main.get_command(found)
    assert isinstance(command, TyperCommand | TyperGroup)
    return command


app = typer.Typer(
    name="hutch",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="HUTCH_DEBUG", help="Show the trace of a failure.")
    ] = False,
) -> None:
    """A home for LLM agents on RabbitMQ."""
    if not debug:  # the failure's sentence replaces what the libraries log about it
        logging.getLogger().addHandler(logging.NullHandler())


def main() -> None:
    """The console script; exits with 0, 1 for a failure, 2 for a usage error, 130 for Ctrl-C."""
    app(prog_name="hutch")


if __name__ == "__main__":
    main()
