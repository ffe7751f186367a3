"""`hutch init`: a new folder with agents, for `hutch up`, for compose and for Kubernetes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from services.cli import output
from shared.definitions.file_schema import file_schema
from shared.errors import HutchError, SettingsError

TEMPLATES = Path(__file__).parents[1] / "templates"
HIDDEN = {"env.example", "gitignore", "dockerignore"}
"""Names that get a dot: with it, the templates would be hidden, or apply to this repository."""
IMAGE = "my-agents"
"""The image's name in the templates, which is replaced by one from the folder's name."""

SCHEMA = Path("agents", ".schema.json")
"""The schema of the agents' files; the first line of each template names it, for editors."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Created if it does not exist.")],
) -> None:
    """Create a folder with two agents, compose files, a Dockerfile and a Kubernetes overlay."""
    write(folder)
    output.say(f"wrote agents, tools and the files for containers to {folder}")
    output.say(f"next: cd {folder} && hutch up --provider scripted")
    output.say('elsewhere: hutch ask alice "Ask Bob for an email about the summer party."')
    output.say("with a model: set OPENAI_API_KEY; in containers: docker compose up --build --wait")


def write(folder: Path) -> None:
    """Write all templates, and the schema of agents' files. If one of the files exists already,
    raises `SettingsError` with its name and writes none."""
    targets = {source: folder / _name(source) for source in sorted(TEMPLATES.rglob("*"))}
    files = {source: target for source, target in targets.items() if _is_template(source)}
    for target in (*files.values(), folder / SCHEMA):
        if target.exists():
            raise SettingsError(f"'{target}' is there already: name a new folder, or move it away")
    image = image_name(folder)
    try:
        for source, target in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source.read_text("utf-8").replace(IMAGE, image), "utf-8")
        (folder / SCHEMA).write_text(json.dumps(file_schema(), indent=1) + "\n", "utf-8")
    except OSError as error:
        raise HutchError(f"can't write '{error.filename}': {error.strerror}") from error


def image_name(folder: Path) -> str:
    """A name for the folder's image. It ends in `-agents`, so that it is no public image's name."""
    words = re.findall("[a-z0-9]+", folder.resolve().name.lower())
    return "-".join([*(words or ["my"]), "agents"]).replace("-agents-agents", "-agents")


def _name(source: Path) -> Path:
    relative = source.relative_to(TEMPLATES)
    return relative.with_name("." * (relative.name in HIDDEN) + relative.name)


def _is_template(source: Path) -> bool:
    return source.is_file() and "__pycache__" not in source.parts
