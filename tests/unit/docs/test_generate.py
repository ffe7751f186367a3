"""The generated documents say what the code says."""

import importlib.util
import json
from types import ModuleType

import jsonschema
import pytest

from shared.contract.messages import Task, encode
from tests.support.repository import REPOSITORY

DOCS = REPOSITORY / "docs"


@pytest.fixture
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_generated_document_is_stale(generate: ModuleType) -> None:
    for name, text in generate.documents().items():
        assert (DOCS / name).read_text("utf-8") == text, f"run python docs/generate.py: {name}"


def test_every_message_that_we_send_fits_the_published_schema(generate: ModuleType) -> None:
    schema = generate.schema() | {"$ref": "#/$defs/Task"}
    jsonschema.validate(json.loads(encode(Task(id="a", content="Do this."))), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"type": "task"}, schema)


def test_every_reference_of_the_asyncapi_document_leads_somewhere(generate: ModuleType) -> None:
    document = generate.asyncapi()
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}
    assert references
    for reference in references:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_key_and_variable_is_described_in_a_page(generate: ModuleType) -> None:
    pages = "".join((DOCS / name).read_text("utf-8") for name in generate.PAGES)
    for name, model in generate.TABLES.items():
        assert f"<!-- table: {name} -->" in pages
        assert all(field.description for field in model.model_fields.values())
