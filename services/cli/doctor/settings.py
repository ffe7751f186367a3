"""The settings and the agents' files, as far as they can be read here."""

from __future__ import annotations

from collections.abc import Iterator

from services.cli.doctor.finding import Area, Finding, advice, fault
from shared.definitions.loader import read_folder
from shared.errors import SettingsError
from shared.settings.environment import Settings, network_fault
from shared.settings.spelling import misspelt


def settings_findings(settings: Settings) -> Iterator[Finding]:
    for name, meant in misspelt().items():
        yield advice(
            Area.SETTINGS,
            f"no process reads the variable {name}",
            f"if {meant} is meant, rename it",
        )
    if wrong := network_fault():
        yield fault(Area.SETTINGS, wrong, "correct or unset it: no endpoint can be reached so")
    try:
        folder = read_folder(settings.agents)
    except SettingsError as error:
        yield advice(
            Area.SETTINGS,
            f"the agents' files can't be read here: {error}",
            "run this where they are, or set HUTCH_AGENTS: without them, agents are only those "
            "that the store knows",
        )
        return
    for wrong in folder.faults.values():
        yield fault(Area.SETTINGS, wrong, "correct the file; 'hutch check' finds all its faults")
