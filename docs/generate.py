"""Generates pages and schemas from the models of messages, agents' files and settings.

`python docs/generate.py` writes them beside this file: `messages.md`, `messages.schema.json`,
`asyncapi.json`, `openapi.json`, `agent.schema.json`, and the tables in `agents.md` and
`settings.md`, whose other text is written by hand. A test fails when they differ from the code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.json_schema import models_json_schema

from services.gateway.app import routes
from shared.contract import topology
from shared.contract.messages import (
    SCHEMA_VERSION,
    Cancel,
    Event,
    Frozen,
    Response,
    Shutdown,
    Task,
    Trigger,
)
from shared.contract.stream import StreamPart
from shared.definitions.approval import ApprovalRule
from shared.definitions.file_schema import FileSchema, file_schema
from shared.definitions.guardrails import AfterUntrusted, Check, Guardrails
from shared.definitions.knowledge import Knowledge
from shared.definitions.mcp import McpServer
from shared.definitions.model import Definition, Limits, ModelChoice
from shared.definitions.schedules.schedule import Schedule
from shared.definitions.tools.choice import ToolChoice
from shared.settings.environment import LocalSettings, ScriptedSettings, Settings
from shared.settings.gateway import GatewaySettings, RemoteSettings

HERE = Path(__file__).parent
PAGES = ("agents.md", "guardrails.md", "mcp.md", "settings.md")
MODELS: tuple[type[Frozen], ...] = (Task, Trigger, Response, Shutdown, Cancel, Event, StreamPart)
CHANNELS = {
    topology.TASKS: ("direct; routing key = agent", (Task, Trigger)),
    topology.swarm_exchange_name("{group}"): ("fanout", (Response, Trigger)),
    topology.REPLIES: ("direct; routing key = reply queue", (Response,)),
    topology.CONTROL: (
        "topic; shutdown.<agent>, shutdown.all, cancel.<agent>",
        (Shutdown, Cancel),
    ),
    topology.EVENTS: ("topic; <agent>.<event>", (Event,)),
    topology.STREAM: ("topic; id of the root", (StreamPart,)),
}

TABLES: dict[str, type[BaseModel]] = {
    "agent": Definition,
    "model": ModelChoice,
    "tool": ToolChoice,
    "approval": ApprovalRule,
    "schedule": Schedule,
    "limits": Limits,
    "knowledge": Knowledge,
    "guardrails": Guardrails,
    "check": Check,
    "after_untrusted": AfterUntrusted,
    "mcp": McpServer,
    "settings": Settings,
    "gateway": GatewaySettings,
    "remote": RemoteSettings,
    "scripted": ScriptedSettings,
    "local": LocalSettings,
}
"""The tables of these pages, by the names in their markers."""

REPLY_QUEUES = [
    "",
    "A `reply_to` may name one of these queues. A message with any other `reply_to` becomes a dead",
    "letter and can't be answered.",
    "",
    "| name | which client uses it |",
    "|---|---|",
    "| `amq.gen-…` | the broker's name for a queue declared without one: pika, amqplib for Node, "
    "bunny for Ruby, amqp091-go, RabbitMQ's clients for Java and .NET |",
    "| `amq.rabbitmq.reply-to` | direct reply-to, in any client; Spring's `RabbitTemplate` and "
    "FastStream by default |",
    "| `amq_` and 32 hex digits | aio-pika's robust client, for a queue declared without a name |",
    "| a UUID | kombu, for calls |",
    "| `spring.gen-…` | Spring AMQP's `AnonymousQueue` |",
    "| `easynetq.response.…` | EasyNetQ |",
    "| `reply.…` | you, where your client lets you choose |",
    "",
    "A `correlation_id` is any UTF-8 of up to 255 bytes, without NUL, and comes back unchanged.",
]


def schema() -> dict[str, Any]:
    """One JSON Schema document with a definition for each message."""
    _, document = models_json_schema([(model, "validation") for model in MODELS], by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def asyncapi() -> dict[str, Any]:
    """The messages as AsyncAPI 3.0; its channels are the exchanges."""
    schemas = json.loads(json.dumps(schema()["$defs"]).replace("#/$defs/", "#/components/schemas/"))
    messages = {
        model.__name__: {"payload": {"$ref": f"#/components/schemas/{model.__name__}"}}
        for model in MODELS
    }
    channels = {
        address: {
            "address": address,
            "description": kind,
            "messages": {
                model.__name__: {"$ref": f"#/components/messages/{model.__name__}"}
                for model in models
            },
        }
        for address, (kind, models) in CHANNELS.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Hutch", "version": str(SCHEMA_VERSION)},
        "defaultContentType": "application/json",
        "channels": channels,
        "components": {"messages": messages, "schemas": schemas},
    }


def markdown() -> str:
    """The text of `messages.md`."""
    lines = [
        "# Messages",
        "",
        "Generated from `shared/contract/messages.py` and `shared/contract/stream.py` by",
        "`python docs/generate.py`. JSON bodies, UTF-8, at most 1 MiB. If an object has a key",
        "twice, the last one is used. Times are in years 1 to 9999, UTC; lengths are in",
        "characters.",
        "",
        "`reply_to` and `correlation_id` are AMQP properties. The property `message_id` replaces a",
        "missing `id`. An object without `type` is a task, and so is plain text. A task with the",
        "property `expiration` is refused: put a `deadline` in its body. From RabbitMQ 4.0 on, a",
        "mailbox delivers two messages with the property `priority` 5 for each one without: set it",
        "for `interactive` messages. With a broker user for each process, `user_id` identifies the",
        "sender: see [security.md](security.md).",
        "For other languages: `messages.schema.json` (JSON Schema), `asyncapi.json`.",
        "",
        "| exchange | kind | carries |",
        "|---|---|---|",
    ]
    for address, (kind, models) in CHANNELS.items():
        names = ", ".join(_name(model) for model in models)
        lines.append(f"| `{address}` | {kind} | {names} |")
    lines += REPLY_QUEUES
    definitions = schema()["$defs"]
    for model in MODELS:
        lines += ["", f"## {_name(model)}", "", cleandoc(str(model.__doc__)), ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(name, model, definitions) for name in model.model_fields]
    return "\n".join(lines) + "\n"


def _name(model: type[Frozen]) -> str:
    return str(model.model_fields["type"].default).replace("_", " ")


def _row(name: str, model: type[Frozen], definitions: Mapping[str, dict[str, Any]]) -> str:
    field = model.model_fields[name]
    alias = field.alias or name
    shape = model.model_json_schema(by_alias=True)["properties"][alias]
    default = "required" if field.is_required() else json.dumps(shape.get("default"))
    kind = _type(shape, definitions)
    return f"| `{alias}` | {kind} | {default} | {field.description or ''} |"


def with_tables(page: str) -> str:
    """The page with the tables between its markers written anew."""
    return re.sub(
        r"(?<=<!-- table: )(\w+)( -->\n).*?(?=<!-- end -->)",
        lambda found: f"{found[1]}{found[2]}{_table(TABLES[found[1]])}",
        page,
        flags=re.DOTALL,
    )


def _table(model: type[BaseModel]) -> str:
    properties = model.model_json_schema(schema_generator=FileSchema)["properties"]
    lines = ["| name | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        alias = str(field.validation_alias or name)
        shape = properties[alias]
        kinds = [it for it in shape.get("anyOf", [shape]) if it.get("type") != "null"]
        # YAML's words for the two
        kind = _type({"anyOf": kinds}, {}).replace("object", "mapping").replace("array", "list")
        default = shape.get("default")
        if isinstance(field.default, SecretStr):
            default = field.default.get_secret_value()
        given = "required" if field.is_required() else _default(default)
        lines.append(f"| `{alias}` | {kind} | {given} | {field.description} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if value in (None, "", [], {}):
        return "none"
    return f"`{value if isinstance(value, str) else json.dumps(value).removesuffix('.0')}`"


def _type(shape: dict[str, Any], definitions: Mapping[str, dict[str, Any]]) -> str:
    """The type in words. A definition that is not given is an object."""
    if "anyOf" in shape:
        return " or ".join(_type(part, definitions) for part in shape["anyOf"])
    if "$ref" in shape:
        named = definitions.get(str(shape["$ref"]).rpartition("/")[2], {"title": "object"})
        if "enum" in named:
            return _type(named, definitions)
        return str(named.get("title", "any json")).lower()
    if "enum" in shape:
        return " ".join(f"`{value}`" for value in shape["enum"])
    if "const" in shape:
        return f"`{json.dumps(shape['const'])}`"
    if "items" in shape:
        return f"array of {_type(shape['items'], definitions)}"
    if "examples" in shape:
        return "string, such as " + ", ".join(f"`{value}`" for value in shape["examples"])
    named = str(shape.get("format") or shape.get("type", "any")).replace("password", "secret")
    if "maximum" in shape:
        named += f" ({shape['minimum']} to {shape['maximum']})"
    elif "minimum" in shape:
        named += f" (at least {shape['minimum']})"
    elif "exclusiveMinimum" in shape:
        named += f" (more than {shape['exclusiveMinimum']})"
    return named + (f" (at most {shape['maxLength']})" if "maxLength" in shape else "")


def documents() -> dict[str, str]:
    """The text of each generated file, by the file's name."""
    return {
        "messages.md": markdown(),
        "messages.schema.json": json.dumps(schema(), indent=1) + "\n",
        "asyncapi.json": json.dumps(asyncapi(), indent=1) + "\n",
        "openapi.json": json.dumps(routes().openapi(), indent=1) + "\n",
        "agent.schema.json": json.dumps(file_schema(), indent=1) + "\n",
        **{name: with_tables((HERE / name).read_text("utf-8")) for name in PAGES},
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (HERE / name).write_text(text, "utf-8")
