"""The command line: `hutch …`, or `python -m services.cli …`.

Each noun's file imports what it needs when it is called, so that `hutch --help` is quick.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from services.cli.commands.ask import ask
from services.cli.commands.cancel import cancel
from services.cli.commands.check import check
from services.cli.commands.dead import dead
from services.cli.commands.demo import demo
from services.cli.commands.forget import forget
from services.cli.commands.init import init
from services.cli.commands.k8s import k8s
from services.cli.commands.migrate import migrate
from services.cli.commands.pause import pause, unpause
from services.cli.commands.runs import runs
from services.cli.commands.send import broadcast, send, trigger
from services.cli.commands.show import show
from services.cli.commands.shutdown import shutdown
from services.cli.commands.status import status
from services.cli.commands.topology import topology
from services.cli.commands.up import up


class _Told(TyperGroup):
    """Ends every failure in one sentence and its exit code."""

    def invoke(self, ctx: Any) -> object:  # typer's own Context: it has no public name
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:
            from shared.process.runtime import failed

            raise typer.Exit(failed("hutch", error, trace=ctx.params["debug"])) from error


app = typer.Typer(
    name="hutch",
    cls=_Told,
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
    if not debug:  # libraries log what a failure's sentence says better
        logging.getLogger().addHandler(logging.NullHandler())


app.command()(demo)
app.command()(init)
app.command()(up)
app.command()(ask)
app.command()(send)
app.command()(trigger)
app.command()(broadcast)
app.command()(cancel)
app.command()(pause)
app.command()(unpause)
app.command()(shutdown)
app.command()(status)
app.command()(runs)
app.command()(show)
app.add_typer(dead, name="dead")
app.command()(forget)
app.command()(check)
app.command()(topology)
app.command()(k8s)
app.command()(migrate)


def main() -> None:
    """The console script; exits with 0, 1 for a failure, 2 for a usage error, 130 for Ctrl-C."""
    app(prog_name="hutch")


if __name__ == "__main__":
    main()
