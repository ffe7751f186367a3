"""The folder of agents: what can be used of it, whatever is wrong with some of its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.definitions.loader import Folder, equipped, load, read_folder
from shared.definitions.model import Definition
from shared.errors import SettingsError
from tests.support.agents_folder import fault, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def refusal(folder: Folder, name: str) -> str:
    with pytest.raises(SettingsError) as caught:
        folder.definition(name)
    return str(caught.value)


def test_a_fault_in_one_file_leaves_the_others_as_they_are(folder: Path) -> None:
    write(folder, "alice", "name: alice\nworkers: [bob]")
    write(folder, "bob", "name: bob")
    write(folder, "carol", "name: carol\nlimits: {turn: 1}")
    read = read_folder(folder)
    assert [read.definition(name).name for name in ("alice", "bob")] == ["alice", "bob"]
    assert list(read.faults) == ["carol"]
    assert (
        refusal(read, "carol")
        == f"{folder}/carol.yaml:2: limits.turn: unknown key; did you mean turns?"
    )
    assert set(read.names) == {"alice", "bob", "carol"}


@pytest.mark.parametrize("text", ["name: [", "name: 5", "- a", "", "name: Carol", "name: all"])
def test_an_agent_whose_name_cannot_be_read_is_called_like_its_file(
    folder: Path, text: str
) -> None:
    write(folder, "carol", text)
    read = read_folder(folder)
    assert list(read.names) == ["carol"]
    assert "carol.yaml" in refusal(read, "carol")


@pytest.mark.parametrize("name", ["Carol", "all", "a b"])
def test_a_file_with_an_invalid_name_is_a_fault_and_no_agent(folder: Path, name: str) -> None:
    write(folder, name, "name: [")
    read = read_folder(folder)
    assert not read.names
    assert list(read.faults) == [name]


def test_a_worker_whose_name_and_description_can_be_read_still_serves(folder: Path) -> None:
    write(folder, "alice", "name: alice\nworkers: [bob]")
    write(folder, "bob", "name: bob\ndescription: Writes.\ntols: []\nlimits: {}\nlimits: {}")
    read = read_folder(folder)
    assert [it.name for it in read.definition("alice").workers] == ["bob"]
    assert read.described["bob"] == Definition(name="bob", description="Writes.")
    assert set(read.faults) == {"bob"}


@pytest.mark.parametrize("text", ["name: bob\ndescription: 5", "name: ["])
def test_a_manager_needs_its_workers_descriptions(folder: Path, text: str) -> None:
    write(folder, "alice", "name: alice\nworkers: [bob]")
    write(folder, "bob", text)
    assert refusal(read_folder(folder), "alice") == (
        f"{folder}/alice.yaml:2: workers.0: the name or description of 'bob' can't be read; "
        f"see {folder}/bob.yaml"
    )


def test_a_worker_that_is_nowhere_is_named_with_those_that_are_there(folder: Path) -> None:
    write(folder, "bob", "name: bob\nworkers: [carol]")
    assert fault(folder) == f"{folder}/bob.yaml:2: workers.0: no agent 'carol'; known are bob"


def test_agents_in_a_cycle_of_workers_cannot_start_and_their_managers_can(folder: Path) -> None:
    write(folder, "alice", "name: alice\nworkers: [bob, carol]")
    write(folder, "bob", "name: bob\nworkers: [carol]")
    write(folder, "carol", "name: carol\nworkers: [bob]")
    write(folder, "dora", "name: dora\nworkers: [dora]")
    read = read_folder(folder)
    assert set(read.faults) == {"bob", "carol", "dora"}
    assert "carol.yaml:2: workers: a cycle: carol -> bob -> carol" in read.faults["carol"]
    assert "dora.yaml:2: workers: a cycle: dora -> dora" in read.faults["dora"]


def test_a_chain_of_workers_may_be_long(folder: Path) -> None:
    for number in range(1200):
        write(folder, f"a{number}", f"{{name: a{number}, workers: [a{(number + 1) % 1200}]}}")
    assert refusal(read_folder(folder), "a0").count(" -> ") == 1200


def test_two_files_cannot_define_one_agent(folder: Path) -> None:
    write(folder, "bob", "name: bob\ndescription: Writes.")
    write(folder, "robert", "name: bob")
    write(folder, "alice", "name: alice\nworkers: [bob]")
    read = read_folder(folder)
    assert refusal(read, "bob") == (
        f"{folder}/robert.yaml: name: {folder}/bob.yaml defines 'bob' already"
    )
    assert [it.name for it in read.definition("alice").workers] == ["bob"]


def test_every_fault_of_a_folder_is_reported_at_once(folder: Path) -> None:
    write(folder, "alice", "name: alice\nx: 1\nworkers: [bob, bob]")
    write(folder, "bob", "name: bob\ny: 1")
    assert len(fault(folder).splitlines()) == 3


def test_an_agent_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    write(folder, "bob", "name: bob")
    assert refusal(read_folder(folder), "alice") == f"no agent 'alice' in '{folder}'; known: bob"


def test_the_error_for_a_missing_or_empty_folder_says_what_to_do(folder: Path) -> None:
    assert "holds no agent" in fault(folder)
    assert "run 'hutch init'" in fault(folder / "nowhere")
    write(folder, "bob", "name: bob")
    assert "run 'hutch init'" in fault(folder / "bob.yaml")


def test_hidden_files_are_no_agents(folder: Path) -> None:
    write(folder, "alice", "name: alice")
    (folder / ".#alice.yaml").symlink_to("me@machine.1234")
    (folder / "._alice.yaml").write_bytes(b"\0\5\26\7\xff")
    (folder / ".git.yml").mkdir()
    assert list(load(folder)) == ["alice"]


def a_folder(file: Path) -> None:
    file.mkdir()


def a_dangling_link(file: Path) -> None:
    file.symlink_to("nowhere")


def a_link_to_itself(file: Path) -> None:
    file.symlink_to(file.name)


def a_pipe(file: Path) -> None:
    os.mkfifo(file)


def a_file_that_fails(file: Path) -> None:
    file.symlink_to("/proc/self/mem")


def a_nul(file: Path) -> None:
    file.write_bytes(b"name: bob\npreamble: a\0b\n")


def utf_16(file: Path) -> None:
    file.write_text("name: bob\n", "utf-16")


def latin_1(file: Path) -> None:
    file.write_text("name: bob\ndescription: gr\xfc\xdft\n", "latin-1")


def a_gigabyte(file: Path) -> None:
    file.touch()
    os.truncate(file, 1 << 30)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_folder, "bob.yaml: it is a folder"),
        (a_dangling_link, "bob.yaml: it is no file that can be read"),
        (a_link_to_itself, "bob.yaml: it is no file that can be read"),
        (a_pipe, "bob.yaml: it is no file that can be read"),
        (a_file_that_fails, "bob.yaml: it can't be read: Input/output error"),
        (a_nul, "bob.yaml:2: not YAML: unacceptable character #x0000"),
        (utf_16, "bob.yaml: it is not UTF-8"),
        (latin_1, "bob.yaml: it is not UTF-8"),
        (a_gigabyte, "bob.yaml: it is larger than 256 KiB"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_in_one_line(
    folder: Path, make: Callable[[Path], None], said: str
) -> None:
    make(folder / "bob.yaml")
    write(folder, "alice", "name: alice")
    read = read_folder(folder)
    assert said in refusal(read, "bob")
    assert "\n" not in refusal(read, "bob")
    assert read.definition("alice").name == "alice"


async def test_an_agent_gets_its_tools_and_no_others(folder: Path) -> None:
    (folder / "tools").mkdir()
    (folder / "tools" / "a.py").write_text("def f() -> None: ...\ndef g() -> None: ...\n")
    (folder / "tools" / "b.py").write_text("raise ValueError\n")
    write(folder, "alice", "name: alice\ntools: [{function: 'a.py:f', repeatable: true}, 'a.py:g']")
    write(folder, "bob", "name: bob\ntools: ['b.py:f']")
    found = await equipped(read_folder(folder), "alice")
    definition, tools = found.definition, found.tools
    assert definition.name == "alice"
    assert [(tool.name, tool.repeatable) for tool in tools] == [("f", True), ("g", False)]


async def test_a_tools_file_may_run_a_loop_while_it_is_imported(folder: Path) -> None:
    (folder / "tools").mkdir()
    source = "import asyncio\nn = asyncio.run(asyncio.sleep(0, 7))\ndef f() -> int: return n\n"
    (folder / "tools" / "a.py").write_text(source)
    write(folder, "alice", "name: alice\ntools: ['a.py:f']")
    [tool] = (await equipped(read_folder(folder), "alice")).tools
    assert await tool.call({}) == "7"


def a_latin_1_text(file: Path) -> None:
    file.write_text("def f() -> None:\n    '\xfc'", "latin-1")


def source(text: str) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        file.write_text(text, "utf-8")

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_folder, "there is no such file"),
        (a_dangling_link, "there is no such file"),
        (a_link_to_itself, "Symlink loop|there is no such file"),
        (a_pipe, "there is no such file"),
        (a_latin_1_text, "SyntaxError"),
        (source("def f() -> None: ...\0"), "null bytes"),
        (source("class Panic(BaseException): ...\nraise Panic('no')"), "Panic: no"),
        (source("class E(Exception):\n    __str__ = None\nraise E"), "E: without a text"),
        (source("def __getattr__(name): raise OSError('gone')"), "'f': gone"),
        (source("import os\ndef f(a: 'os.nothing') -> None: ..."), "'f': .*'nothing'"),
        (source("def f(a: 'int int') -> None: ..."), "'f': "),
        (source("def f() -> None:\n    '\\ud800'"), "'f'.*surrogates not allowed"),
    ],
)
async def test_a_tools_file_that_cannot_be_one_is_named_in_one_line(
    folder: Path, make: Callable[[Path], None], said: str
) -> None:
    (folder / "tools").mkdir()
    make(folder / "tools" / "a.py")
    write(folder, "alice", "name: alice\ntools: ['a.py:f']")
    with pytest.raises(SettingsError, match=said) as caught:
        await equipped(read_folder(folder), "alice")
    assert str(caught.value).startswith(f"{folder}/alice.yaml:2: tools.0: {folder}/tools/a.py: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "x\\0y", "../../etc/passwd/x"])
async def test_a_tools_name_that_no_system_opens_is_named(folder: Path, name: str) -> None:
    write(folder, "alice", f'name: alice\ntools: ["{name}.py:f"]')
    with pytest.raises(SettingsError, match=r"alice\.yaml"):
        await equipped(read_folder(folder), "alice")


async def test_every_tool_that_cannot_be_loaded_is_named(folder: Path) -> None:
    write(folder, "alice", "name: alice\ntools: ['a.py:f', 'b.py:g']")
    with pytest.raises(SettingsError) as caught:
        await equipped(read_folder(folder), "alice")
    lines = str(caught.value).splitlines()
    assert [line.partition(": there is")[0] for line in lines] == [
        f"{folder}/alice.yaml:2: tools.{at}: {folder}/tools/{file}.py"
        for at, file in enumerate("ab")
    ]
