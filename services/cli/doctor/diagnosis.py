"""All checks of `hutch doctor`, in their order. They change nothing, and cost no model call."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from services.cli.agents import folder
from services.cli.broker import address
from services.cli.doctor import broker as brokers
from services.cli.doctor import queues, versions
from services.cli.doctor.endpoints import endpoint_findings
from services.cli.doctor.finding import Area, Finding, fault, of_error
from services.cli.doctor.home import home_findings
from services.cli.doctor.mcp_servers import mcp_findings
from services.cli.doctor.processes import process_findings
from services.cli.doctor.settings import settings_findings
from services.cli.doctor.store import store_findings
from services.cli.machine.home import HOME
from services.cli.places import compose_hint
from services.cli.store import RETRY_FOR_S
from services.cli.system_status import system_status
from services.cli.up.provider import served_here
from shared.broker.connection import Broker, connect
from shared.client.system.store_fault import write_fault
from shared.errors import BrokerError, SettingsError, StoreError
from shared.settings.environment import Settings
from shared.settings.secrets import shown_url
from shared.store import Store, open_store
from shared.store.database.engine import sqlite_file
from shared.store.messages.sent import all_receivers
from shared.store.queries.condition import condition, known_agents


@dataclass
class Diagnosis:
    """`seen` names what was examined: versions, the store, the broker."""

    seen: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


async def diagnose() -> Diagnosis:
    found = Diagnosis({"hutch": versions.own_version()})
    found.findings += versions.library_findings(versions.own_requirements())
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        found.findings.append(of_error(Area.SETTINGS, error))
        return found
    files = folder(settings)
    found.findings += settings_findings(settings)
    found.findings += home_findings(settings)
    async with AsyncExitStack() as stack:
        store = await _store(stack, settings, found)
        try:
            url = address(settings)
            broker = await _broker(stack, url, found)
            status = await system_status(settings)
            found.findings += process_findings(status)
            found.findings += queues.dead_letter_findings(status.dead_letters)
            found.findings += brokers.alarm_findings(status.takes_messages)
            if status.takes_messages is not False:
                found.findings += await brokers.rights_findings(broker, url)
            found.findings += await queues.argument_findings(
                broker, url, files.found if files else {}
            )
            if store is not None and files is not None:
                known = await store.read(known_agents) | await store.read(all_receivers)
                found.findings += await queues.orphan_findings(broker, files.names, known)
            found.findings.append(queues.UNKNOWN_QUEUES)
        except SettingsError as error:
            hint = compose_hint(settings, "doctor")
            sentence = str(error).partition("; if compose")[0]
            found.findings.append(
                fault(
                    Area.BROKER,
                    sentence,
                    hint or "correct or set RABBITMQ_URL, or start 'hutch up'",
                )
            )
        except BrokerError as error:
            found.findings.append(of_error(Area.BROKER, error))
    if files:
        found.findings += await mcp_findings(files.found)
        agents = files.found
        if provider := served_here(HOME):
            found.seen["model"] = f"{provider}, of the 'hutch up' that runs here"
            agents = {name: it for name, it in agents.items() if it.model.base_url}
        found.findings += await endpoint_findings(settings, agents)
    return found


async def _store(stack: AsyncExitStack, settings: Settings, found: Diagnosis) -> Store | None:
    """The open store, or None and a fault."""
    try:
        found.seen["store"] = shown_url(settings.store())
        file = sqlite_file(settings.store())
        if file is not None and not file.exists():  # opening it would create it
            raise StoreError("there is no store yet; run 'hutch migrate' or 'hutch up'")
        context = open_store(settings.store(), retry_for_s=RETRY_FOR_S)
        store = await stack.enter_async_context(context)
        found.findings += await store_findings(store)
        found.seen["store"] += f", {(await store.read(condition)).version}"
        if reason := await write_fault(settings):
            found.findings.append(
                fault(
                    Area.STORE,
                    f"it can be read but not written: {reason}",
                    "end that program, or give this user the right to write: no agent takes or "
                    "ends a task meanwhile, and none is lost",
                )
            )
    except (StoreError, SettingsError) as error:
        found.findings.append(of_error(Area.STORE, error))
        return None
    return store


async def _broker(stack: AsyncExitStack, url: str, found: Diagnosis) -> Broker:
    """The connected broker. Raises `BrokerError`."""
    found.seen["broker"] = shown_url(url)
    broker = await stack.enter_async_context(connect(url, "hutch doctor"))
    version = await broker.version()
    found.seen["broker"] += f", {version}"
    found.findings += versions.broker_findings(version)
    return broker
