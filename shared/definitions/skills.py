"""Skills: folders with instructions in a `SKILL.md`, which a model reads when it needs them.

The model sees their names and descriptions in its preamble. Nothing in a skill is executed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from shared.contract.messages import Frozen
from shared.definitions.knowledge import READ_SKILL
from shared.definitions.model import Definition
from shared.errors import KnowledgeError
from shared.validation import first_fault, shown

FILE = "SKILL.md"
MOST_CHARS = 50_000
"""The longest file of a skill."""

HEADING = (
    "Skills are instructions for tasks of a kind. Before you do such a task, read its skill with "
    f"{READ_SKILL}. Your skills:"
)


class Skill(Frozen):
    """The part of a skill that a model sees before it reads it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    description: str = Field(min_length=1, max_length=1024)


def with_skills(folder: Path, definition: Definition) -> Definition:
    """The definition with its skills in its preamble.

    Paths are below `folder`. Raises `KnowledgeError`.
    """
    if not definition.skills:
        return definition
    found = [_skill(path / FILE) for path in skill_folders(folder, definition.skills).values()]
    lines = [f"- {it.name}: {' '.join(it.description.split())}" for it in found]
    preamble = "\n\n".join(
        filter(None, [definition.preamble.strip(), "\n".join([HEADING, *lines])])
    )
    return definition.model_copy(update={"preamble": preamble})


def skill_folders(folder: Path, paths: Sequence[str]) -> Mapping[str, Path]:
    """The folders of skills by the skills' names. Raises `KnowledgeError`."""
    found: dict[str, Path] = {}
    for path in (each for it in paths for each in _below(folder / it)):
        name = _skill(path / FILE).name
        if name in found:
            raise KnowledgeError(f"'{found[name]}' and '{path}' are both called '{name}'")
        found[name] = path
    return found


def skill_text(skill: Path, file: str) -> str:
    """The text of a skill's file. Raises `KnowledgeError`, with text for the model."""
    try:
        place = (skill / file).resolve()
        found = place.is_relative_to(skill.resolve()) and place.is_file()
        text = place.read_text("utf-8") if found else None
    except (OSError, ValueError):  # ValueError: it is not UTF-8, or the name has a NUL
        raise KnowledgeError(f"'{shown(file)}' can't be read as text") from None
    if text is None:
        raise KnowledgeError(f"the skill has no file '{shown(file)}'")
    if len(text) > MOST_CHARS:
        raise KnowledgeError(f"'{file}' is longer than {MOST_CHARS:,} characters")
    return text


def _below(path: Path) -> Iterator[Path]:
    """The folders of skills at a path: itself, or those in it."""
    found = [path / FILE] if (path / FILE).is_file() else sorted(path.glob(f"*/{FILE}"))
    if not found:
        raise KnowledgeError(f"'{path}' has no skill: a skill is a folder with a {FILE}")
    yield from (it.parent for it in found)


def _skill(file: Path) -> Skill:
    opening, _, rest = skill_text(file.parent, file.name).partition("\n")
    head, end, _ = rest.partition("\n---")
    if opening.strip() != "---" or not end:
        raise KnowledgeError(f"{file} has no name and description between lines of '---'")
    try:
        found = yaml.safe_load(head)
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{file}: what is between the lines of '---' is not YAML") from error
    fields = found if isinstance(found, dict) else {}
    try:
        return Skill.model_validate({it: fields[it] for it in Skill.model_fields if it in fields})
    except ValidationError as error:
        raise KnowledgeError(f"{file}: {first_fault(error)}") from error
