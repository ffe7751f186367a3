"""Generates the page on messages and schemas for other languages, from the contract's models.

`python docs/generate.py` writes `messages.md`, `messages.schema.json` and `asyncapi.json`
beside this file. A test fails when they differ from the code.
"""

from __future__ import annotations

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

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

HERE = Path(__file__).parent
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
    for model in MODELS:
        lines += ["", f"## {_name(model)}", "", cleandoc(str(model.__doc__)), ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(name, model) for name in model.model_fields]
    return "\n".join(lines) + "\n"


def _name(model: type[Frozen]) -> str:
    return str(model.model_fields["type"].default).replace("_", " ")


def _row(name: str, model: type[Frozen]) -> str:
    field = model.model_fields[name]
    alias = field.alias or name
    shape = model.model_json_schema(by_alias=True)["properties"][alias]
    default = "required" if field.is_required() else json.dumps(shape.get("default"))
    return f"| `{alias}` | {_type(shape)} | {default} | {field.description or ''} |"


def _type(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " or ".join(_type(part) for part in shape["anyOf"])
    if "$ref" in shape:
        named = schema()["$defs"][str(shape["$ref"]).rpartition("/")[2]]
        return _type(named) if "enum" in named else str(named.get("title", "any json")).lower()
    if "enum" in shape:
        return " ".join(f"`{value}`" for value in shape["enum"])
    if "const" in shape:
        return f"`{json.dumps(shape['const'])}`"
    named = str(shape.get("format") or shape.get("type", "any"))
    if "maximum" in shape:
        named += f" ({shape['minimum']} to {shape['maximum']})"
    return named + (f" (at most {shape['maxLength']})" if "maxLength" in shape else "")


def documents() -> dict[str, str]:
    """The text of each generated file, by the file's name."""
    return {
        "messages.md": markdown(),
        "messages.schema.json": json.dumps(schema(), indent=1) + "\n",
        "asyncapi.json": json.dumps(asyncapi(), indent=1) + "\n",
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (HERE / name).write_text(text, "utf-8")
