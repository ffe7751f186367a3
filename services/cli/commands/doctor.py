"""`hutch doctor`: what is wrong with this system, and what to do."""

from __future__ import annotations

import asyncio

import typer
from pydantic import TypeAdapter

from services.cli import output
from services.cli.doctor.diagnosis import Diagnosis, diagnose
from services.cli.doctor.finding import Severity, counted
from services.cli.options import Json


def doctor(json: Json = False) -> None:
    """Find what is wrong: settings, versions, clocks, store, broker, queues, processes, models.

    It changes nothing and costs no model call. The exit code is 1 if there is a fault.
    """
    found = asyncio.run(diagnose())
    faults = [it for it in found.findings if it.severity is Severity.FAULT]
    if json:
        output.say(TypeAdapter(Diagnosis).dump_json(found).decode())
    else:
        _show(found)
        output.say(f"\n{counted(len(faults), 'fault')}")
    if faults:
        raise typer.Exit(1)


def _show(found: Diagnosis) -> None:
    for name, what in found.seen.items():
        output.say(what if name == "hutch" else f"{name}: {what}")
    for severity in Severity:
        for it in found.findings:
            if it.severity is severity:
                output.say(f"\n{severity}: {it.area}: {it.sentence}\n  do: {it.remedy}")
