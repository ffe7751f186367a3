"""What `hutch ask` and `hutch send` both take with a task."""

from __future__ import annotations

from typing import Annotated

import typer

Context = Annotated[str | None, typer.Option(help="What the agent should know besides.")]
Session = Annotated[str | None, typer.Option(help="The conversation that it goes on with.")]
ModelCalls = Annotated[
    int | None, typer.Option(min=1, help="At most so many, its workers' included.")
]
Tokens = Annotated[
    int | None, typer.Option(min=1, help="At most so many, in and out, its workers' included.")
]
