"""The command line: `hutch …`, or `python -m services.cli …`.

A new command is a function of its name in `services/cli/commands/` and a row in `COMMANDS`.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from shared import VERSION
from shared.contract.remote_commands import command_of
from shared.errors import HutchError
from shared.settings.gateway_address import gateway_address

COMMANDS = {
    "demo": (
        "demo",
        "Run the shipped examples with the scripted model, and end everything afterwards.",
    ),
    "init": (
        "init",
        "Create a folder with two agents, compose files, a Dockerfile and a Kubernetes overlay.",
    ),
    "up": (
        "up",
        "Run agents, scheduler and gateway until Ctrl-C; starts a broker if none is set.",
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
    "wait": (
        "wait",
        "Wait for the response to a task that was sent before, and print it as 'hutch ask' does.",
    ),
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
    "approvals": (
        "approvals",
        "List calls that wait for a person's decision, the oldest first.",
    ),
    "approve": ("approvals", "Approve a call: it is made once, and its run goes on."),
    "deny": (
        "approvals",
        "Deny a call: it is not made, its model gets the note, and its run goes on.",
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
    "status": (
        "status",
        "Show agents, scheduler, gateway, schedules, dead letters, store and broker on one screen.",
    ),
    "doctor": (
        "doctor",
        "Find what is wrong: settings, versions, clocks, store, broker, queues, processes, models.",
    ),
    "runs": ("runs", "List runs, the newest first."),
    "show": (
        "show",
        "Show a run: its task, its steps, its response, and the runs that it has caused.",
    ),
    "watch": ("watch", "Print what agents do, while they do it, until Ctrl-C."),
    "dead": ("dead", "List, show, replay and drop dead letters."),
    "mcp": (
        "mcp",
        "Offer the agents as tools to a program that speaks MCP over stdin and stdout.",
    ),
    "keys": ("keys", "Make, list and revoke the keys of the gateway's clients."),
    "knowledge": ("knowledge", "Show the index of agents' documents, and search it."),
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
        "Write all manifests to k8s/base and k8s/overlays; or print that of one agent.",
    ),
    "migrate": (
        "migrate",
        "Create the store's tables, or migrate them to this version; safe to repeat.",
    ),
}
"""In the order of `hutch --help`: each command's module, and the first line of its help."""

DEBUG = "--debug"


class Commands(TyperGroup):
    """Imports a command's module when the command is used, so that `hutch --help` is quick.

    Until then `TyperCommand`s with the help of `COMMANDS` stand in for the commands. A failure of
    a command is one sentence on stderr and the error's exit code.
    """

    def __init__(self, **settings: Any) -> None:  # passed to typer unchanged
        super().__init__(**settings)
        for name, (_, help) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=help))

    def parse_args(
        self,
        ctx: Any,  # typer's own Context: it has no public name
        args: list[str],
    ) -> list[str]:
        """Take `--debug` at any place before `--`: it is an option of all commands."""
        end = args.index("--") if "--" in args else len(args)
        if DEBUG in args[:end]:
            args = [DEBUG, *(it for it in args[:end] if it != DEBUG), *args[end:]]
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            raise _usage_exit(error) from error

    def resolve_command(
        self,
        ctx: Any,  # the same
        args: list[str],
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest

    def invoke(self, ctx: Any) -> object:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except typer.TyperException as error:
            raise _usage_exit(error) from error
        except Exception as error:
            from shared.process.failure import report_failure  # not loaded for the help

            raise typer.Exit(report_failure("hutch", error, trace=ctx.params["debug"])) from error


def _usage_exit(
    error: Any,  # typer's own UsageError: it has no public name
) -> Exception:
    """Report a usage error in one sentence, as other failures are; returns what ends the command.

    A command of several that is given without any prints its help, which is such an error too.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        return cast(Exception, error)
    said = error.format_message().strip().removesuffix(".").replace(": Value error, ", ": ")
    of = error.ctx.command_path if error.ctx else "hutch"
    see = f"{' See' if said.endswith('?') else '; see'} '{of} --help'"
    typer.echo(f"hutch: {said[:1].lower()}{said[1:]}{see}", err=True)
    return typer.Exit(error.exit_code)


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
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        typer.echo(f"hutch {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option(DEBUG, envvar="HUTCH_DEBUG", help="Show the trace of a failure.")
    ] = False,
    _: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """A home for LLM agents on RabbitMQ."""
    if not debug:  # the failure's sentence replaces what the libraries log about it
        logging.getLogger().addHandler(logging.NullHandler())
    import structlog  # not loaded for the help

    # Its default is stdout, which is for the result only.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def main() -> None:
    """The console script; exits with 0, 1 for a failure, 2 for a usage error, 130 for Ctrl-C."""
    if (code := _at_gateway(sys.argv[1:])) is not None:
        sys.exit(code)
    app(prog_name="hutch")


def _at_gateway(arguments: list[str]) -> int | None:
    """Execute a command at the gateway; returns its exit code. None if it is executed here."""
    if command_of(arguments) is None:
        return None
    try:
        gateway = gateway_address()
        if gateway is None:
            return None
        from services.cli.remote import execute  # not loaded for commands that are executed here

        return execute(gateway, arguments)
    except HutchError as error:
        typer.echo(f"hutch: {error}", err=True)
        return error.exit_code


if __name__ == "__main__":
    main()
