from __future__ import annotations

from pathlib import Path

import pytest

from shared.definitions.model import Definition
from shared.definitions.skills import skill_folders, skill_text, with_skills
from shared.errors import KnowledgeError

REFUND = "---\nname: refund\ndescription: How to refund\n  an order.\nlicense: MIT\n---\n# Steps\n"


def skill(folder: Path, name: str, text: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "SKILL.md").write_text(text, "utf-8")
    return folder / name


def refusal(folder: Path, *paths: str) -> str:
    with pytest.raises(KnowledgeError) as caught:
        skill_folders(folder, paths)
    return str(caught.value)


def test_the_preamble_has_the_skills_names_and_descriptions_and_not_their_texts(
    tmp_path: Path,
) -> None:
    skill(tmp_path / "skills", "refund", REFUND)
    skill(tmp_path / "skills", "a", REFUND.replace("refund\n", "ship\n", 1))
    skill(tmp_path, "own", REFUND.replace("refund\n", "own\n", 1))
    alice = Definition(name="alice", preamble="You help.", skills=("skills/", "own"))
    loaded = with_skills(tmp_path, alice)
    assert loaded.preamble.startswith("You help.\n\nSkills are instructions")
    assert loaded.preamble.splitlines()[-3:] == [
        "- ship: How to refund an order.",
        "- refund: How to refund an order.",
        "- own: How to refund an order.",
    ]
    assert with_skills(tmp_path, Definition(name="alice")) == Definition(name="alice")


def test_a_skills_files_are_read_and_no_others(tmp_path: Path) -> None:
    folder = skill(tmp_path, "refund", REFUND)
    (folder / "fees.md").write_text("Five.", "utf-8")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "picture.png").write_bytes(b"\xff")
    assert skill_text(folder, "SKILL.md") == REFUND
    assert skill_text(folder, "fees.md") == "Five."
    for file in ("../secret.txt", str(tmp_path / "secret.txt"), "link.txt", "none.md", "."):
        with pytest.raises(KnowledgeError, match="the skill has no file"):
            skill_text(folder, file)
    for file in ("picture.png", "a\0b", "x" * 300):
        with pytest.raises(KnowledgeError, match="can't be read as text"):
            skill_text(folder, file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Steps", "has no name and description between lines of '---'"),
        ("---\nname: refund\n", "has no name and description between lines of '---'"),
        ("---\nname: [\n---\n", "what is between the lines of '---' is not YAML"),
        ("---\n- a\n---\n", "name: the key is missing"),
        ("---\nname: Re Fund\ndescription: x\n---\n", "name: "),
        ("---\nname: refund\n---\n", "description: the key is missing"),
    ],
)
def test_a_skill_without_a_name_or_a_description_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    skill(tmp_path, "refund", text)
    assert said in refusal(tmp_path, "refund")


def test_a_folder_without_skills_and_two_skills_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "has no skill" in refusal(tmp_path, "none")
    skill(tmp_path, "a", REFUND)
    skill(tmp_path, "b", REFUND)
    assert "are both called 'refund'" in refusal(tmp_path, "a", "b")
