"""Descriptions of tools and parameters, from docstrings in the styles that people write."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path

import pytest

from shared.definitions.tools.docstrings import described
from tests.support.tool_file import tool

GOOGLE = """Finds an order.

    It reads the archive too.

    Args:
        number: as on the
            invoice
        why (str, optional): the reason. Defaults to late.

    Returns:
        The order's state.

    Raises:
        LookupError: if there is none
    """
NUMPY = """Finds an order.

    It reads the archive too.

    Parameters
    ----------
    number : int
        as on the
        invoice
    why : str, optional
        the reason. Defaults to late.

    Returns
    -------
    str
        The order's state.

    Raises
    ------
    LookupError
        if there is none
    """
SPHINX = """Finds an order.

    It reads the archive too.

    :param int number: as on the
        invoice
    :param why: the reason. Defaults to late.
    :type why: str
    :returns: The order's state.
    :raises LookupError: if there is none
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_parameters_are_separated_from_the_rest(docstring: str) -> None:
    found = described(cleandoc(docstring))
    assert found.text == (
        "Finds an order.\n\nIt reads the archive too.\n\nReturns: The order's state."
    )
    assert found.parameters == {
        "number": "as on the\ninvoice",
        "why": "the reason. Defaults to late.",
    }


@pytest.mark.parametrize(
    "docstring",
    [
        "",
        "Finds an order.",
        "Finds an order: by its number.\n\nNote: slow.\n\nExample:\n    lookup(7)",
        "Returns:\n    the state",
        "Attributes:\n    a: b",
        ":param",
        "Parameters\n---",
        "Args:",
    ],
)
def test_a_docstring_without_parameters_is_the_description(docstring: str) -> None:
    assert described(docstring).text == docstring


def test_two_parameters_can_share_a_description() -> None:
    docstring = "Adds.\n\nParameters\n----------\na, b : int\n    a number\n*more : int\n    others"
    assert described(docstring).parameters == {"a": "a number", "b": "a number", "more": "others"}


def test_a_field_describes_a_parameter_before_the_docstring_does(tmp_path: Path) -> None:
    source = '''
from typing import Annotated
from pydantic import Field
def lookup(number: Annotated[int, Field(description="mine")], why: str = "", key: str = "") -> str:
    """Finds an order.

    Args:
        number: theirs
        why: the reason
        nr: an old name
    """
'''
    made = tool(tmp_path, source)
    assert made.description == "Finds an order."
    assert made.parameters["properties"] == {
        "number": {"type": "integer", "description": "mine"},
        "why": {"type": "string", "description": "the reason", "default": ""},
        "key": {"type": "string", "default": ""},
    }
    assert made.strange == ("nr",)
