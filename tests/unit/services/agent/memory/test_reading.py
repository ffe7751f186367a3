from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from services.agent.memory.reading import documents, read
from shared.errors import KnowledgeError

PAGE = """<!doctype html><html><head><title>Shop</title><style>p {}</style></head><body>
<nav><a href="/">Home</a></nav><h1>Returns</h1><p>Within <b>30</b>
days&nbsp;&amp; unopened.</p><ul><li>Shoes</li><li>Hats</li></ul>
<pre>a  =  1
b</pre><script>alert("x")</script><br><table><tr><td>Fee</td><td>5</td></tr></table></body></html>"""


def pdf(*texts: str) -> bytes:
    """A PDF with one line of text on each page."""
    writer = PdfWriter()
    for text in texts:
        page = writer.add_blank_page(300, 300)
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        named = DictionaryObject({NameObject(k): NameObject(v) for k, v in font.items()})
        fonts = DictionaryObject({NameObject("/F1"): named})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
    file = BytesIO()
    writer.write(file)
    return file.getvalue()


def fault(name: str, content: bytes) -> str:
    with pytest.raises(KnowledgeError) as caught:
        read(name, content)
    return str(caught.value)


def test_a_page_is_read_with_its_headings_and_code_and_without_its_scripts() -> None:
    lines = [line.rstrip() for line in read("a.HTML", PAGE.encode()).splitlines()]
    text = "\n".join(line for line in lines if line)
    assert text == (
        "# Returns\nWithin 30 days & unopened.\n- Shoes\n- Hats\n```\na  =  1\nb\n```\nFee 5"
    )


def test_a_pdf_is_read_page_by_page() -> None:
    text = read("a.pdf", pdf("Returns within 30 days", "Refunds"))
    assert text == "# Page 1\n\nReturns within 30 days\n\n# Page 2\n\nRefunds"


def test_text_is_read_without_its_byte_order_mark() -> None:
    assert read("a.txt", "\ufeffRückgabe".encode()) == "Rückgabe"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"\xff\xfe", "it is not UTF-8 text"),
        ("a.md", b" \n", "it has no text"),
        ("a.docx", b"PK", "it ends in none of .htm, .html"),
        ("a.pdf", b"not a pdf", "it can't be read: "),
        ("a.pdf", pdf(""), "it has no text, only pictures"),
    ],
)
def test_a_document_that_has_no_text_says_why(name: str, content: bytes, said: str) -> None:
    assert fault(name, content).startswith(said)


def test_folders_are_searched_for_documents_that_are_not_hidden(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.PDF", ".git/x.md", ".hidden.md", "code.py", "e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = documents([tmp_path, tmp_path / "code.py", tmp_path / "none"])
    assert [str(it.relative_to(tmp_path)) for it in found] == [
        "a/c.PDF",
        "b.md",
        "e.txt",
        "code.py",
    ]
