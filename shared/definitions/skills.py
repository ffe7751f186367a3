"""Skills: folders with instructions in a `SKILL.md`, which a model reads when it needs them.

Nothing in them is executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from shared.contract.messages import Frozen
from shared.errors import KnowledgeError
from shared.validation import first_fault

FILE = "SKILL.md"
MOST_CHARS = 50_000
"""The longest `SKILL.md`, and the longest other file of a skill that a model reads."""


class Skill(Frozen):
    """What a model sees of a skill before it reads it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    description: str = Field(min_length=1, max_length=1024)


@dataclass(frozen=True)
class SkillFolder:
    skill: Skill
    path: Path


def skills(folder: Path) -> Iterator[SkillFolder]:
    """The skills of a folder, which is one skill or holds several.

    Raises `KnowledgeError` naming the file.
    """
    if not folder.is_dir():
        raise KnowledgeError(f"there is no folder '{folder}'")
    inner = (
        [folder]
        if (folder / FILE).is_file()
        else sorted(it.parent for it in folder.glob(f"*/{FILE}"))
    )
    if not inner:
        raise KnowledgeError(f"'{folder}' has no skill: a skill is a folder with a {FILE}")
    for path in inner:
        yield SkillFolder(_skill(path / FILE), path)


def skill_text(file: Path) -> str:
    """The text of a skill's file. Raises `KnowledgeError`."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"'{file.name}' can't be read as text") from error
    if len(text) > MOST_CHARS:
        raise KnowledgeError(f"'{file.name}' is longer than {MOST_CHARS:,} characters")
    return text


def _skill(file: Path) -> Skill:
    opening, _, rest = skill_text(file).partition("\n")
    head, end, _ = rest.partition("\n---")
    if opening.strip() != "---" or not end:
        raise KnowledgeError(f"{file} begins with no '---' lines around its name and description")
    try:
        found = yaml.safe_load(head)
        fields = {key: found[key] for key in ("name", "description") if key in found}
        return Skill.model_validate(fields)
    except (yaml.YAMLError, TypeError) as error:
        raise KnowledgeError(f"{file}: what is between its '---' lines is no YAML") from error
    except ValidationError as error:
        raise KnowledgeError(f"{file}: {first_fault(error)}") from error
