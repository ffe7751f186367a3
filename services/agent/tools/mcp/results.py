"""The results of a server, as text for a model, and the files in them."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from services.agent.tools.mcp.bounds import clean, one_line

MOST_URI_CHARS = 500

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)


@dataclass(frozen=True)
class ResultFile:
    """A file in a result; `digest` is its SHA-256 in hexadecimal."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return sha256(self.content).hexdigest()


@dataclass
class Result:
    text: str = ""
    files: list[ResultFile] = field(default_factory=list)
    is_error: bool = False


def result_of(result: CallToolResult) -> Result:
    """The result of a call. Structured content is added unless it is there as text too."""
    found = Result(is_error=result.is_error)
    texts = [_text(it, found.files) for it in result.content]
    structured: JsonValue = result.structured_content
    if structured is not None and not any(_is_same(it, structured) for it in texts):
        texts.append(clean(to_json(structured).decode()))
    found.text = "\n\n".join(filter(None, texts))
    return found


def contents_of(contents: Sequence[TextResourceContents | BlobResourceContents]) -> Result:
    """The contents of a resource."""
    found = Result()
    found.text = "\n\n".join(_contents(it, found.files) for it in contents)
    return found


def _text(block: ContentBlock, files: list[ResultFile]) -> str:
    match block:
        case TextContent():
            return clean(block.text)
        case ImageContent() | AudioContent():
            return _file(block.data, block.mime_type, "", files)
        case EmbeddedResource():
            return _contents(block.resource, files)
        case ResourceLink():
            name = one_line(block.title or block.name, MOST_URI_CHARS)
            return f"[resource {one_line(block.uri, MOST_URI_CHARS)}: {name}]"


def _contents(it: TextResourceContents | BlobResourceContents, files: list[ResultFile]) -> str:
    if isinstance(it, TextResourceContents):
        return clean(it.text)
    return _file(it.blob, it.mime_type or "", one_line(it.uri, MOST_URI_CHARS), files)


def _file(data: str, media_type: str, uri: str, files: list[ResultFile]) -> str:
    """A line that stands for a file; the file is added to `files`."""
    kind = media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
    of = f" of {uri}" if uri else ""
    try:
        file = ResultFile(kind, b64decode(data, validate=True))
    except ValueError:
        return f"[a file{of} ({kind}) that can't be read: it is no base64]"
    files.append(file)
    return f"[file {file.digest[:16]}{of}: {kind}, {len(file.content)} bytes]"


def _is_same(text: str, structured: JsonValue) -> bool:
    """Whether a text says the same as structured content, which can be a text under one key."""
    values = [structured]
    if isinstance(structured, dict) and len(structured) == 1:
        values += structured.values()
    try:
        return text in values or from_json(text) in values
    except ValueError:
        return False
