"""Typed functions of public packages as tools, called with the mistakes that models make.

Each row is a function, what a model has sent, and what has arrived at the function.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.support.tool_file import tool

TABLE: list[tuple[str, dict[str, JsonValue], str]] = [
    ("pydantic.alias_generators:to_camel", {"snake": 5}, "snake='5'"),
    (
        "pydantic.color:ints_to_rgba",
        {"r": "255", "g": 0.0, "b": "0", "alpha": ""},
        "r='255', g=0, b='0'",
    ),
    ("pydantic.color:parse_color_value", {"value": "10", "max_val": None}, "value='10'"),
    ("pydantic.color:parse_float_alpha", {"value": "null"}, "value='null'"),
    ("pydantic.color:parse_tuple", {"value": "[1, 2, 3]"}, "value=(1, 2, 3)"),
    (
        "pydantic.color:parse_hsl",
        {"h": 120, "h_units": "deg", "sat": 50, "light": "25", "alpha": "0.5"},
        "h='120', h_units='deg', sat='50', light='25', alpha=0.5",
    ),
    (
        "pydantic.functional_validators:field_validator",
        {"field": "a", "fields": "b", "mode": "Before", "check_fields": "None"},
        "'a', 'b', mode='before', check_fields=None, json_schema_input_type=PydanticUndefined",
    ),
    ("pydantic.functional_validators:model_validator", {"mode": "AFTER"}, "mode='after'"),
    (
        "pydantic.functional_serializers:field_serializer",
        {
            "field": "a",
            "fields": '["b"]',
            "mode": "wrap",
            "when_used": None,
            "check_fields": "True",
        },
        "'a', 'b', mode='wrap', return_type=PydanticUndefined, when_used='always', "
        "check_fields=True",
    ),
    (
        "pydantic.types:conint",
        {"ge": "1", "le": "10", "strict": "null"},
        "strict=None, ge=1, le=10",
    ),
    (
        "pydantic.types:confloat",
        {"gt": "0.5", "allow_inf_nan": "no"},
        "gt=0.5, allow_inf_nan=False",
    ),
    (
        "pydantic.types:condecimal",
        {"gt": "0.10", "max_digits": "5"},
        "gt=Decimal('0.10'), max_digits=5",
    ),
    (
        "pydantic.types:condate",
        {"ge": "2026-01-31", "lt": "2026-02-01T00:00:00"},
        "ge=datetime.date(2026, 1, 31), lt=datetime.date(2026, 2, 1)",
    ),
    ("pydantic.types:conbytes", {"min_length": "3", "max_length": ""}, "min_length=3"),
    ("pydantic.version:parse_mypy_version", {"version": 1.5}, "version='1.5'"),
    (
        "rich.cells:chop_cells",
        {"text": "abcdef", "width": "2", "unicode_version": None},
        "text='abcdef', width=2",
    ),
    ("rich.cells:set_cell_size", {"text": "a", "total": 3.0}, "text='a', total=3"),
    (
        "rich.color:blend_rgb",
        {"color1": "[255, 0, 0]", "color2": "(0, 0, 255)", "cross_fade": "0.25"},
        "color1=ColorTriplet(red=255, green=0, blue=0), "
        "color2=ColorTriplet(red=0, green=0, blue=255), cross_fade=0.25",
    ),
    ("rich.color:parse_rgb_hex", {"hex_color": "ffaa00"}, "hex_color='ffaa00'"),
    ("rich.console:group", {"fit": "false"}, "fit=False"),
    (
        "rich.control:strip_control_codes",
        {"text": "a", "_translate_table": '{"7": null}'},
        "text='a', _translate_table={7: None}",
    ),
    (
        "rich.control:escape_control_codes",
        {"text": "a", "_translate_table": {"7": "bell"}},
        "text='a', _translate_table={7: 'bell'}",
    ),
    (
        "rich.filesize:decimal",
        {"size": "1_000", "precision": None, "separator": ""},
        "size=1000, precision=None, separator=''",
    ),
    (
        "rich.filesize:pick_unit_and_suffix",
        {"size": "2048", "suffixes": "['B', 'KiB']", "base": "1024"},
        "size=2048, suffixes=['B', 'KiB'], base=1024",
    ),
    (
        "rich.markup:render",
        {"markup": "[b]a", "emoji": "False", "emoji_variant": "Text"},
        "markup='[b]a', emoji=False, emoji_variant='text'",
    ),
    (
        "rich.pretty:pretty_repr",
        {"_object": {"a": [1, None]}, "max_width": "40", "max_length": "null"},
        "_object={'a': [1, None]}, max_width=40, max_length=None",
    ),
    (
        "rich:print_json",
        {"json": '{"a": 1}', "indent": "2", "sort_keys": "true"},
        "json='{\"a\": 1}', indent='2', sort_keys=True",
    ),
    (
        "packaging.dependency_groups:resolve_dependency_groups",
        {
            "dependency_groups": '{"test": ["pytest", {"include-group": "lint"}], "lint": "ruff"}',
            "groups": "test",
        },
        "{'test': ['pytest', {'include-group': 'lint'}], 'lint': ['ruff']}, 'test'",
    ),
    ("packaging.metadata:parse_email", {"data": "Name: a"}, "data='Name: a'"),
    (
        "packaging.pylock:is_valid_pylock_path",
        {"path": "pylock.toml"},
        "path=PosixPath('pylock.toml')",
    ),
    (
        "packaging.tags:cpython_tags",
        {"python_version": "[3, 11]", "abis": "cp311", "platforms": None, "warn": "no"},
        "python_version=[3, 11], abis=['cp311'], platforms=None, warn=False",
    ),
    (
        "packaging.tags:mac_platforms",
        {"version": "11, 0", "arch": None},
        "version=(11, 0), arch=None",
    ),
    (
        "packaging.tags:android_platforms",
        {"api_level": "21", "abi": "arm64_v8a"},
        "api_level=21, abi='arm64_v8a'",
    ),
    (
        "packaging.utils:canonicalize_name",
        {"name": "A_b", "validate": "yes"},
        "name='A_b', validate=True",
    ),
    (
        "packaging.utils:parse_wheel_filename",
        {"filename": "a-1-py3-none-any.whl", "validate_order": None},
        "filename='a-1-py3-none-any.whl'",
    ),
    ("packaging.version:normalize_pre", {"letter": "alpha"}, "'alpha'"),
    (
        "alembic.script.revision:tuple_rev_as_scalar",
        {"rev": '["ae1", "27c"]'},
        "rev=['ae1', '27c']",
    ),
    (
        "alembic.script.write_hooks:console_scripts",
        {
            "path": "a.py",
            "options": "{'cwd': 'x'}",
            "ignore_output": "true",
            "verify_version": "[1, 2]",
        },
        "path='a.py', options={'cwd': 'x'}, ignore_output=True, verify_version=(1, 2)",
    ),
    (
        "alembic.util.compat:path_relative_to",
        {"path": "a/b", "other": "a", "walk_up": None},
        "path=PosixPath('a/b'), other=PosixPath('a')",
    ),
    (
        "alembic.util.editor:open_in_editor",
        {"filename": "a.py", "environ": '{"EDITOR": "vi"}'},
        "filename='a.py', environ={'EDITOR': 'vi'}",
    ),
    ("alembic.util.langhelpers:dedupe_tuple", {"tup": ["a", 1]}, "tup=('a', '1')"),
    ("alembic.util.messaging:format_as_comma", {"value": ["a", "b"]}, "value=['a', 'b']"),
    (
        "alembic.util.pyfiles:template_to_file",
        {
            "template_file": "a.mako",
            "dest": "b",
            "output_encoding": "utf-8",
            "append_with_newlines": "1",
            "kw": '{"title": "x"}',
        },
        "'a.mako', 'b', 'utf-8', append_with_newlines=True, title='x'",
    ),
    (
        "click.core:batch",
        {"iterable": "[1, 2, 3]", "batch_size": "2"},
        "iterable=[1, 2, 3], batch_size=2",
    ),
    (
        "click.formatting:measure_table",
        {"rows": '[["a", "b"], ["c", "d"]]'},
        "rows=[('a', 'b'), ('c', 'd')]",
    ),
    ("click.formatting:join_options", {"options": "--all"}, "options=['--all']"),
    (
        "click.formatting:wrap_text",
        {"text": "a", "width": "40", "preserve_paragraphs": "on"},
        "text='a', width=40, preserve_paragraphs=True",
    ),
    (
        "click.termui:style",
        {"text": "a", "fg": "[255, 0, 0]", "bold": "true", "dim": None},
        "text='a', fg='[255, 0, 0]', bold=True, dim=None",
    ),
    (
        "click.termui:edit",
        {"text": None, "env": '{"A": "1"}', "extension": ".md", "filename": ["a", "b"]},
        "text=None, env={'A': '1'}, extension='.md', filename=['a', 'b']",
    ),
    (
        "click.utils:format_filename",
        {"filename": "a/b.txt", "shorten": "True"},
        "filename='a/b.txt', shorten=True",
    ),
    ("idna.intranges:intranges_from_list", {"list_": "1, 2, 3"}, "list_=[1, 2, 3]"),
    (
        "idna.intranges:intranges_contain",
        {"int_": "5", "ranges": "(4, 8)"},
        "int_=5, ranges=(4, 8)",
    ),
    (
        "idna.core:uts46_remap",
        {"domain": "a.de", "std3_rules": "0"},
        "domain='a.de', std3_rules=False",
    ),
    (
        "markdown_it.common.utils:arrayReplaceAt",
        {"src": '["a", "b"]', "pos": "1", "newElements": ["c"]},
        "src=['a', 'b'], pos=1, newElements=['c']",
    ),
    ("markdown_it.common.utils:charCodeAt", {"src": "abc", "pos": 1.0}, "src='abc', pos=1"),
    (
        "markdown_it.rules_block.fence:make_fence_rule",
        {"markers": "~", "exact_match": "false", "min_markers": "4"},
        "markers=('~',), exact_match=False, min_markers=4",
    ),
    (
        "urllib3.util.connection:create_connection",
        {"address": '["localhost", "80"]', "timeout": "2.5", "socket_options": "[[6, 1, 1]]"},
        "address=('localhost', 80), timeout=2.5, socket_options=[(6, 1, 1)]",
    ),
    (
        "urllib3.util.request:make_headers",
        {"keep_alive": "true", "accept_encoding": '["gzip"]', "user_agent": None},
        "keep_alive=True, accept_encoding='[\"gzip\"]', user_agent=None",
    ),
    ("urllib3.util.ssl_:is_ipaddress", {"hostname": "10.0.0.1"}, "hostname='10.0.0.1'"),
    (
        "urllib3.fields:guess_content_type",
        {"filename": "a.png", "default": None},
        "filename='a.png'",
    ),
    (
        "starlette.authentication:requires",
        {"scopes": ["read"], "status_code": "401", "redirect": "null"},
        "scopes=['read'], status_code=401, redirect='null'",
    ),
    (
        "hatchling.build:build_wheel",
        {"wheel_directory": "dist", "config_settings": "{}", "metadata_directory": None},
        "wheel_directory='dist', config_settings={}, metadata_directory=None",
    ),
    (
        "grimp.application.usecases:build_graph",
        {
            "package_name": "a",
            "additional_package_names": "b",
            "include_external_packages": "True",
            "cache_dir": "null",
        },
        "'a', 'b', include_external_packages=True, "
        "exclude_type_checking_imports=False, cache_dir='null'",
    ),
    (
        "coverage.misc:substitute_variables",
        {"text": "$A", "variables": "{'A': 'b'}"},
        "text='$A', variables={'A': 'b'}",
    ),
    (
        "coverage.results:format_lines",
        {"statements": "[1, 2, 3]", "lines": "2", "arcs": None},
        "statements=[1, 2, 3], lines=[2], arcs=None",
    ),
]


@pytest.mark.parametrize(("function", "sent", "arrived"), TABLE, ids=[row[0] for row in TABLE])
async def test_a_public_function_gets_what_the_model_means(
    tmp_path: Path, function: str, sent: dict[str, JsonValue], arrived: str
) -> None:
    module, _, name = function.partition(":")
    made = tool(tmp_path, f"from {module} import {name}\n", name)
    assert await replace(made, function=_received).call(sent) == arrived


def _received(*positional: object, **named: object) -> str:
    """The arguments of a call, as a call of the function would be written."""
    return ", ".join([*map(repr, positional), *(f"{name}={it!r}" for name, it in named.items())])


def test_the_table_has_sixty_functions() -> None:
    assert len({function for function, _, _ in TABLE}) >= 60
