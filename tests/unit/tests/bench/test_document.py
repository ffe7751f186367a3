from __future__ import annotations

from pathlib import Path

from tests.bench.document import BEGIN, END, write


def test_only_the_lines_between_the_markers_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "bench.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    for figure in ("1", "2"):
        write([f"| echo | {figure} |"], file)
    assert file.read_text("utf-8") == f"before\n{BEGIN}\n\n| echo | 2 |\n\n{END}\nafter\n"
