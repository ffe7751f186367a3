"""One YAML document, read without surprises.

YAML 1.1 reads `010` as eight, `no` as false and `1:30` as ninety, and of two equal keys it silently
keeps the last. Here each of these is a fault with its line, unless the field has the type that YAML
reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import yaml

from shared.errors import SettingsError
from shared.validation import shown

MOST_BYTES = 256 * 1024
"""Far more than a model reads at every call; a larger file is no agent's file."""

MOST_NODES = 10_000
"""The most values in one document. Each repetition by an alias counts: nine aliases of nine aliases
of nine aliases … would fill the memory."""

MOST_DEPTH = 20
"""The deepest nesting; an agent's file needs four levels."""

MOST_FILES = 1000
"""The most files whose documents are kept: all processes of a machine read all of its agents."""

Place = tuple[str | int, ...]
"""The place of a value: keys and positions from the document's top."""

_TAGS = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_TRUE = {"yes", "true", "on"}
_PROBLEMS = {
    "mapping values are not allowed": "a ': ' too many: quote the text, or correct the indentation",
    "'\\t' that cannot start": "a tab: indent with spaces",
    "cannot start any token": "a text that begins with a special character: quote it",
    "expected <block end>": "the line does not fit those above: check its indentation and quotes",
    "could not find expected ':'": "a line without a key and ': '",
    "unexpected end of stream": "a quote that is not closed",
}
"""Words for the commonest of PyYAML's problems."""
_OTHERWISE = {
    "int": "a number in another notation",
    "float": "a number",
    "timestamp": "a date",
    "merge": "an instruction to merge keys",
    "value": "an instruction",
}


@dataclass(frozen=True)
class Fault:
    """A fault in a document. `line` counts from 1; 0: unknown."""

    line: int
    place: Place
    text: str

    def of(self, file: Path) -> str:
        """The fault in one line, with file and field."""
        line = f":{self.line}" if self.line else ""
        return f"{file}{line}: {'.'.join(map(str, self.place)) or 'the file'}: {self.text}"


@dataclass
class Document:
    """A document's value, in plain types, and its faults. The first of two equal keys counts."""

    value: object = None
    faults: list[Fault] = field(default_factory=list)
    lines: dict[Place, int] = field(default_factory=dict)
    unquoted: dict[Place, str] = field(default_factory=dict)
    """For each value without quotes that YAML does not read as text, a sentence that says so."""

    def line(self, place: Place) -> int:
        """The line of this place, or of the nearest place that contains it."""
        nearest = self.nearest(place)
        return self.lines[nearest] if nearest else 0

    def nearest(self, place: Place) -> Place:
        """This place, or the nearest place that contains it and is in the document."""
        return next(
            (place[:end] for end in range(len(place), 0, -1) if place[:end] in self.lines), ()
        )


def read(file: Path) -> Document:
    """The file's document, not to be changed: equal files share it, also in forked processes.

    Raises `SettingsError`, naming the file, if it can't be read or is no YAML.
    """
    text = _text(file)
    try:
        return _document(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}:{_line(error, text)}: not YAML: {_problem(error)}") from error
    except RecursionError as error:
        raise SettingsError(f"{file}: nested too deeply for an agent's file") from error
    except (ValueError, OverflowError) as error:  # from an escape such as \U00110000
        raise SettingsError(f"{file}: not YAML: an escape that is no character") from error


@lru_cache(MOST_FILES)
def _document(text: str) -> Document:
    document = Document()
    node = yaml.compose(text, yaml.SafeLoader)
    document.value = None if node is None else _Reading(document).value(node, ())
    return document


def _text(file: Path) -> str:
    try:
        if not file.is_file():  # reading a pipe would block
            there = "a folder" if file.is_dir() else "no file that can be read"
            raise SettingsError(f"{file}: it is {there}: an agent is a file; move this away")
        with file.open("rb") as source:
            held = source.read(MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{file}: it can't be read: {error.strerror}") from error
    if len(held) > MOST_BYTES:
        raise SettingsError(f"{file}: it is larger than {MOST_BYTES // 1024} KiB")
    try:
        return held.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: it is not UTF-8: save it as text in UTF-8") from error


def _line(error: yaml.YAMLError, text: str) -> int:
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 1


def _problem(error: yaml.YAMLError) -> str:
    problem = str(getattr(error, "problem", None) or error).partition("\n")[0]
    return next((words for part, words in _PROBLEMS.items() if part in problem), problem)


def _misread(text: str, kind: str) -> str:
    brief = shown(text)
    return f'YAML reads {brief} as {kind}: quote it: "{brief}"'


class _Reading:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def value(self, node: yaml.Node, place: Place) -> object:
        """The value of a node. Raises `yaml.YAMLError` if the document is too large or deep."""
        self._nodes += 1
        if self._nodes > MOST_NODES or len(place) > MOST_DEPTH:
            why = "too many values, or too deeply nested"
            raise yaml.constructor.ConstructorError(problem=why, problem_mark=node.start_mark)
        self._document.lines.setdefault(place, node.start_mark.line + 1)
        tag = node.tag.removeprefix(_TAGS)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, tag, place)
        if isinstance(node, yaml.SequenceNode) and tag == "seq":
            return [self.value(item, (*place, at)) for at, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and tag == "map":
            return dict(self._pairs(node, place))
        self._foreign(node, place)
        return None

    def _pairs(self, node: yaml.MappingNode, place: Place) -> Iterator[tuple[str, object]]:
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAGS}str":
                text = "a key is text"
                if isinstance(key, yaml.ScalarNode):
                    text = f'YAML does not read this key as text: quote it: "{shown(key.value)}"'
                self._fault(key, place, text)
                continue
            name = self._readable(key, (*place, key.value))
            inside = (*place, name)
            if name in seen:
                self._fault(key, inside, f"the key occurs twice, first in line {seen[name]}")
                continue
            seen[name] = self._document.lines[inside] = line
            yield name, self.value(value, inside)

    def _scalar(self, node: yaml.ScalarNode, tag: str, place: Place) -> object:
        text = str(node.value)
        match tag:
            case "str":
                return self._readable(node, place)
            case "null":
                if text:
                    self._document.unquoted[place] = _misread(text, "no value")
                return None
            case "bool":
                true = text.lower() in _TRUE
                self._document.unquoted[place] = _misread(text, str(true).lower())
                return true
            case "float" if _DECIMAL.fullmatch(text):
                self._document.unquoted[place] = _misread(text, "a number")
                return float(text)
            case "int" if _NUMBER.fullmatch(text):
                self._document.unquoted[place] = _misread(text, "a number")
                return int(text)
        if tag in _OTHERWISE:
            digits = ", or write plain digits" if tag == "int" else ""
            self._fault(node, place, _misread(text, _OTHERWISE[tag]) + digits)
        else:
            self._foreign(node, place)
        return None

    def _readable(self, node: yaml.ScalarNode, place: Place) -> str:
        """The text. NUL and half a surrogate pair (JSON writes a character beyond U+FFFF as
        two escapes) are faults."""
        text = str(node.value)
        try:
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._fault(node, place, "half a character (\\ud800 to \\udfff): write all of it")
            text = text.encode("utf-8", "replace").decode()
        if "\0" in text:
            self._fault(node, place, "the character NUL (\\0), which text can't hold: leave it out")
        return text

    def _foreign(self, node: yaml.Node, place: Place) -> None:
        tag = str(node.tag).replace(_TAGS, "!!")
        self._fault(node, place, f"the tag {tag} is not read here: write the value alone")

    def _fault(self, node: yaml.Node, place: Place, text: str) -> None:
        self._document.faults.append(Fault(node.start_mark.line + 1, place, text))
