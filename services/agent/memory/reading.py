"""Reading documents: text, Markdown, HTML and PDF become Markdown."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from shared.errors import KnowledgeError

MOST_BYTES = 32 * 2**20
"""The largest document that is read."""

MOST_CHARS = 10_000_000
"""The longest text of a document: a small PDF can unpack to any length."""

MARKDOWN = {".md", ".markdown", ".txt", ".text", ".rst"}
HTML = {".html", ".htm"}
PDF = {".pdf"}
SUFFIXES = MARKDOWN | HTML | PDF

_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_IGNORED = {"script", "style", "nav", "template", "svg", "form", "button", "title"}
_BLOCKS = {"p", "div", "section", "article", "table", "ul", "ol", "dl", "dd", "dt", "blockquote"}
_LINES = {"br", "tr", "li"}


def documents(paths: Sequence[Path]) -> Iterator[Path]:
    """The documents at these paths and in these folders, without hidden ones, in order."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
                if file.suffix.lower() in SUFFIXES and not hidden and file.is_file():
                    yield file
        elif path.is_file():
            yield path


def read(name: str, content: bytes) -> str:
    """The text of a document as Markdown. Raises `KnowledgeError` if it has none that can be read.

    It may take seconds: call it in a thread.
    """
    suffix = Path(name).suffix.lower()
    try:
        if suffix in PDF:
            text = _pdf(content)
        elif suffix in HTML:
            parser = _Html()
            parser.feed(_decoded(content))
            parser.close()
            text = "".join(parser.parts)
        elif suffix in MARKDOWN:
            text = _decoded(content)
        else:
            raise KnowledgeError(f"it ends in none of {', '.join(sorted(SUFFIXES))}")
    except KnowledgeError:
        raise
    except Exception as error:  # a damaged file raises anything
        raise KnowledgeError(f"it can't be read: {type(error).__name__}: {error}") from error
    if not text.strip():
        raise KnowledgeError("it has no text")
    if len(text) > MOST_CHARS:
        raise KnowledgeError(f"its text is longer than {MOST_CHARS:,} characters")
    return text


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KnowledgeError("it is not UTF-8 text") from None


def _pdf(content: bytes) -> str:
    from io import BytesIO  # only for PDF, as the library takes 10 MB

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs each flaw of a file
    pages: list[str] = []
    for number, page in enumerate(PdfReader(BytesIO(content)).pages, 1):
        pages.append(f"# Page {number}\n\n{page.extract_text()}")
        if sum(map(len, pages)) > MOST_CHARS:
            break
    if not any(page.partition("\n")[2].strip() for page in pages):
        raise KnowledgeError("it has no text, only pictures of it perhaps")
    return "\n\n".join(pages)


class _Html(HTMLParser):
    """Collects the text of a page, with its headings and code as in Markdown."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._ignored = 0
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _IGNORED:
            self._ignored += 1
        elif tag in _HEADINGS:
            self.parts.append(f"\n\n{_HEADINGS[tag]} ")
        elif tag == "pre":
            self._code += 1
            self.parts.append("\n\n```\n")
        elif tag in _BLOCKS:
            self.parts.append("\n\n")
        elif tag in _LINES:
            self.parts.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _IGNORED:
            self._ignored = max(0, self._ignored - 1)
        elif tag == "pre":
            self._code = max(0, self._code - 1)
            self.parts.append("\n```\n\n")
        elif tag in _HEADINGS or tag in _BLOCKS:
            self.parts.append("\n\n")
        elif tag in {"td", "th"}:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._ignored:
            self.parts.append(data if self._code else " ".join(_spaced(data)))


def _spaced(data: str) -> list[str]:
    """The words of a text; a space at its ends is kept, as it may stand between two elements."""
    words = data.split()
    return [*([""] if data[:1].isspace() else []), *words, *([""] if data[-1:].isspace() else [])]
