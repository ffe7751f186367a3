"""The folder of agents, with one file for each. A fault in one file affects no other agent.

A process needs its own file, and the names and descriptions of its workers. `hutch check` calls the
same functions as a starting process, so both refuse the same faults in the same words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from shared.concurrency.threads import in_thread
from shared.definitions import documents
from shared.definitions.documents import Document, Fault, Place
from shared.definitions.functions import Tool
from shared.definitions.functions import load as load_tool
from shared.definitions.guardrails import Guardrails
from shared.definitions.model import Definition, Definitions, is_name
from shared.definitions.output import FILE_REFERENCE, model_schema, read_schema
from shared.definitions.skills import with_skills
from shared.definitions.tools.checks import load_check
from shared.errors import KnowledgeError, SettingsError
from shared.validation import sentence


@dataclass(frozen=True)
class Folder:
    """The agents of a folder by name. If a name can't be read, the file's name stands for it.

    `faults` has a line for each fault of an agent. An agent with faults does not start.
    """

    path: Path
    files: Mapping[str, Path]
    found: Definitions
    """The agents whose own file has no fault."""
    described: Definitions
    """The names and descriptions for managers, also of agents whose file has other faults."""
    faults: Mapping[str, str]
    documents: Mapping[str, Document]
    """The files as they were read, for the lines of their faults."""

    def fault(self, name: str, place: Place, text: str) -> str:
        """One line on a fault of an agent, with its file, the file's line, and the field."""
        return Fault(self.documents[name].line(place), place, text).of(self.files[name])

    @property
    def names(self) -> Collection[str]:
        """All agents, including those that can't start: their mailboxes take tasks."""
        return list(filter(is_name, self.files))

    def definition(self, name: str) -> Definition:
        """The agent's definition. Raises `SettingsError` if the agent can't start."""
        if name in self.faults:
            raise SettingsError(self.faults[name])
        if name not in self.found:
            known = ", ".join(sorted(self.names))
            raise SettingsError(f"no agent '{name}' in '{self.path}'; known: {known}")
        return self.found[name]


@dataclass(frozen=True)
class Equipped:
    """An agent's definition with what it names in other files."""

    definition: Definition
    tools: list[Tool]
    checks: Mapping[str, Tool]
    """The functions of its guardrails by their references; they return a `Verdict` as JSON."""


async def equipped(folder: Folder, name: str) -> Equipped:
    """An agent's definition, tools and checks. Raises `SettingsError` with a line for each fault.

    The tools' files are imported in a thread without an event loop, so that they may run one. The
    same files can define the model of the agent's output; the definition then has its schema. Its
    preamble has the names and descriptions of its skills.
    """
    definition = folder.definition(name)
    tools: list[Tool] = []
    checks: dict[str, Tool] = {}
    faults: list[str] = []

    def load_all() -> None:
        nonlocal definition
        try:
            definition = _with_schema(folder, definition)
        except SettingsError as error:
            faults.append(folder.fault(name, ("output",), str(error)))
        try:
            definition = with_skills(folder.path, definition)
        except KnowledgeError as error:
            faults.append(folder.fault(name, ("skills",), str(error)))
        for at, tool in enumerate(definition.tools):
            try:
                tools.append(load_tool(folder.path, tool))
            except SettingsError as error:
                faults.append(folder.fault(name, ("tools", at), str(error)))
                continue
            arguments = tools[-1].parameters.get("properties")
            known = arguments if isinstance(arguments, dict) else ()
            if tool.approval and (unknown := tool.approval.unknown(known)):
                faults.append(folder.fault(name, ("tools", at, "approval", "when"), unknown))
        for place, reference in _check_references(definition.guardrails):
            try:
                checks[reference] = load_check(folder.path, reference)
            except SettingsError as error:
                faults.append(folder.fault(name, place, str(error)))

    await in_thread(load_all)
    paths = definition.knowledge.paths if definition.knowledge else ()
    missing = (folder.path / path for path in paths if not (folder.path / path).exists())
    faults += [folder.fault(name, ("knowledge",), f"there is no '{path}'") for path in missing]
    if faults:
        raise SettingsError("\n".join(faults))
    return Equipped(definition, tools, checks)


def _check_references(guardrails: Guardrails | None) -> Iterator[tuple[Place, str]]:
    if guardrails is not None:
        for key, checks in (("input", guardrails.input), ("output", guardrails.output)):
            for at, check in enumerate(checks):
                if check.function is not None:
                    yield ("guardrails", key, at), check.function


async def described(folder: Folder, names: Iterable[str]) -> tuple[Definitions, list[str]]:
    """Agents as their callers see them: their names, descriptions and outputs.

    Also returns a line for each output that can't be loaded: that agent is described without it.
    """
    agents = {name: folder.described[name] for name in names}
    faults: list[str] = []

    def load_all() -> None:
        for name, agent in agents.items():
            try:
                agents[name] = _with_schema(folder, agent)
            except SettingsError as error:
                agents[name] = agent.model_copy(update={"output": None})
                faults.append(folder.fault(name, ("output",), str(error)))

    await in_thread(load_all)
    return agents, faults


def _with_schema(folder: Folder, definition: Definition) -> Definition:
    """The definition with the schema of its output in place of a reference to a model."""
    if not isinstance(definition.output, str):
        return definition
    schema = model_schema(folder.path, definition.output)
    return definition.model_copy(update={"output": schema})


def load(path: Path) -> Definitions:
    """All agents of a folder. Raises `SettingsError` with a line for each fault.

    It is for uses that need every agent: none may be left out because of a fault.
    """
    folder = read_folder(path)
    if folder.faults:
        raise SettingsError("\n".join(folder.faults.values()))
    return folder.found


def read_folder(path: Path) -> Folder:
    """The folder and its faults. Raises `SettingsError` if there is no folder, or no file in it."""
    files: dict[str, Path] = {}
    found: dict[str, Definition] = {}
    described: dict[str, Definition] = {}
    faults: dict[str, list[str]] = {}
    opened: dict[str, Document] = {}
    for read in map(_read, texts(path)):
        own = faults.setdefault(read.name, [])
        own += read.faults
        if read.name in files:
            own.append(f"{read.file}: name: {files[read.name]} defines '{read.name}' already")
            continue
        files[read.name] = read.file
        opened[read.name] = read.document
        if read.definition is not None:
            found[read.name] = read.definition
        if read.described is not None:
            described[read.name] = read.described
    for name, definition in found.items():
        for place, text in (
            *_unknown_workers(definition, described, files),
            *((("workers",), cycle) for cycle in _cycles(name, found)),
        ):
            faults[name].append(Fault(opened[name].line(place), place, text).of(files[name]))
    lines = {name: "\n".join(own) for name, own in faults.items() if own}
    return Folder(path, files, found, described, lines, opened)


def texts(path: Path) -> list[Path]:
    """The agents' files in order, without hidden ones such as an editor's `.#alice.yaml`.

    Raises `SettingsError` as `read_folder` does.
    """
    try:
        if not path.is_dir():
            raise SettingsError(
                f"there is no folder of agents at '{path}'; set HUTCH_AGENTS or run 'hutch init'"
            )
        there = sorted(path.iterdir())
    except OSError as error:
        raise SettingsError(
            f"the folder of agents '{path}' can't be read: {error.strerror}"
        ) from error
    files = [it for it in there if it.suffix in {".yaml", ".yml"} and not it.name.startswith(".")]
    if not files:
        raise SettingsError(f"the folder '{path}' holds no agent; add a file such as alice.yaml")
    return files


@dataclass(frozen=True)
class _Read:
    file: Path
    name: str
    definition: Definition | None
    described: Definition | None
    faults: list[str]
    document: Document


def _read(file: Path) -> _Read:
    try:
        document = documents.read(file)
    except SettingsError as error:
        return _Read(file, file.stem, None, None, [str(error)], Document())
    if not isinstance(document.value, dict):
        fault = f"{file}: write keys with values, at least 'name: {file.stem}'"
        return _Read(file, file.stem, None, None, [fault], document)
    definition, faults = _validated(file, document, document.value)
    wrong = {fault.place[0] for fault in faults if fault.place}
    lines = [fault.of(file) for fault in sorted(faults, key=lambda fault: fault.line)]
    if "name" in wrong:
        return _Read(file, file.stem, None, None, lines, document)
    name = str(document.value["name"])
    described = None
    if "description" not in wrong:
        output = definition.output if definition else None
        description = document.value.get("description", "")
        described = Definition(name=name, description=description, output=output)
    return _Read(file, name, definition, described, lines, document)


def _validated(
    file: Path, document: Document, fields: Mapping[str, object]
) -> tuple[Definition | None, list[Fault]]:
    faults = list(document.faults)
    places = {fault.place for fault in faults}
    definition = None
    try:
        definition = Definition.model_validate(fields)
    except ValidationError as error:
        # A place with a fault in its YAML gets no second fault.
        faults += [fault for fault in _invalid(document, error) if fault.place not in places]
    if definition and isinstance(definition.output, str):
        place = ("output",)
        try:
            if FILE_REFERENCE.fullmatch(definition.output):
                schema = read_schema(file.parent / definition.output)
                definition = definition.model_copy(update={"output": schema})
        except ValueError as error:
            faults.append(Fault(document.line(place), place, str(error)))
    return (None if faults else definition), faults


def _invalid(document: Document, error: ValidationError) -> Iterator[Fault]:
    for fault in error.errors(include_url=False):
        text = sentence(fault, Definition, verb="write")
        place = fault["loc"]
        if fault["type"] != "missing":  # a part that the file doesn't have is not named
            place = document.nearest(place)
        if fault["type"] in {"string_type", "wanted"} and place in document.unquoted:
            text = document.unquoted[place]
        elif fault["input"] is None:
            text = f"there is no value: {text}"
        yield Fault(document.line(place), place, text)


def _unknown_workers(
    definition: Definition, described: Definitions, files: Mapping[str, Path]
) -> Iterator[tuple[Place, str]]:
    for at, worker in enumerate(it.name for it in definition.workers):
        place = ("workers", at)
        if worker in described:
            continue
        if worker in files:
            text = f"the name or description of '{worker}' can't be read; see {files[worker]}"
            yield place, text
        else:
            yield place, f"no agent '{worker}'; known are {', '.join(sorted(files))}"


def _cycles(name: str, found: Definitions) -> Iterator[str]:
    """The shortest cycle from an agent over its workers to itself, as a fault."""
    callers: dict[str, str] = {}
    asked = deque([name])
    while asked:
        caller = asked.popleft()
        workers = found[caller].workers if caller in found else ()
        for worker in (it.name for it in workers):
            if worker == name:
                way = [name, caller]
                while way[-1] != name:
                    way.append(callers[way[-1]])
                yield f"a cycle: {' -> '.join(reversed(way))}"
                return
            if worker not in callers:
                callers[worker] = caller
                asked.append(worker)
