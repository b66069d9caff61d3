"""The Help menu: the guide and its pages, the diagnostic report, About; and the version in all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QUrl
from PySide6.QtGui import QTextDocument
from pytestqt.qtbot import QtBot
from shell_stage import open_files, put, staged

from app.shell.about import about
from app.shell.anonymize import anonymize
from app.shell.diagnostics import diagnostics
from app.shell.diagnostics_dialog import Diagnostics
from app.shell.guide import Guide
from app.shell.guide_pages import read_pages, slug
from app.shell.window import MainWindow
from core.assets import GUIDE
from core.torch_build import torch_build
from core.version import __version__

pytestmark = pytest.mark.qt_log_ignore("does not support (propagateSizeHints|raise)")

ROOT = Path(__file__).resolve().parents[3]
PEOPLE = (
    "Erika Mustermann T2.nii.gz: expected one 3-D volume; found 4 dimensions. Choose another file.",
    "mustermann_erika: expected NIfTI volumes; found none. Choose another file or folder.",
    "Saved Mustermann Erika.nii.gz; read back and compared.",
    "The run could not be read: /home/mustermann/erika cohort/run 1 is gone.",
    r"Not readable: C:\Users\Mustermann\erika.nii, it is held by another program.",
    r"Not readable: \\server\mustermann\erika.nii",
    "Reading file:///data/erika/mustermann.dcm failed.",
    "The series 'MUSTERMANN ERIKA' has a gap.",
    "The patient MUSTERMANN^ERIKA has two series.",
    "cohort/mustermann/erika is empty.",
)


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


@pytest.mark.parametrize("sentence", PEOPLE)
def test_no_name_and_no_path_is_left_in_a_sentence(sentence: str) -> None:
    left = anonymize(sentence)
    assert not re.search(r"mustermann|erika", left, re.IGNORECASE), left
    assert "<" in left


def test_what_says_nothing_about_anybody_stays() -> None:
    for sentence in (
        "Synthesised iUS in 12 s. Research use only.",
        "The engine ended (killed). Viewing goes on; synthesis needs it.",
        "Out of memory: choose batch 2 or the CPU (PSNR 21.5 dB).",
        "MHVAE Studio 1.0.0 with torch 2.13.0+cpu needs 3.5 GB.",
    ):
        assert anonymize(sentence, private=["T2"], public=["T2"]) == sentence


def test_known_names_go_wherever_they_stand_but_modalities_stay() -> None:
    left = anonymize(
        "T2 of Mustermann and iUS do not overlap.", ["Mustermann T2.nii"], ["T2", "iUS"]
    )
    assert left == "T2 of <name> and iUS do not overlap."


@given(
    st.lists(st.from_regex(r"[A-Za-z][\w .+-]{0,12}\w", fullmatch=True), min_size=1, max_size=4),
    st.sampled_from(["/", "C:\\", "\\\\server\\", "~/", "file:///"]),
)
def test_no_part_of_any_path_is_left(parts: list[str], root: str) -> None:
    path = root + ("\\" if "\\" in root else "/").join(parts)
    assert anonymize(f"Could not write {path}") == "Could not write <path>"


def test_the_report_of_a_window_names_nobody(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "mustermann")
    folder = tmp_path / "Erika Mustermann"
    open_files(
        qtbot, window, put(folder, "Mustermann-T2.nii"), put(folder, "erika iUS.nii", seed=1)
    )
    assert len(window.context.session.layers) == 2
    window.context.messages.error(
        "Erika broken.nii: expected an image; the file is empty. Copy it again."
    )
    window.context.messages.info("Erika and mustermann are in it, as is " + str(folder))
    text = diagnostics(window.context, window.files.names())
    assert not re.search(r"mustermann|erika", text, re.IGNORECASE), text
    assert str(tmp_path) not in text
    assert tmp_path.name not in text
    for words in (__version__, torch_build().words, "12 x 10 x 8 voxels", "<file>: expected"):
        assert words in text


def test_what_is_shown_is_what_is_saved(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = Diagnostics("versions\nmessages\n")
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.save(tmp_path / "no folder" / "report.md")
    assert "could not be written" in dialog.problem.text()
    assert dialog.isVisible()
    dialog.text.setPlainText("versions\n")
    dialog.save(tmp_path / "report.md")
    assert not dialog.isVisible()
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text() == "versions\n"


def test_about_says_version_and_build(qtbot: QtBot, window: MainWindow) -> None:
    box = about(window)
    qtbot.addWidget(box)
    assert __version__ in box.text()
    assert torch_build().words in box.informativeText()


def test_every_page_is_reached_and_every_link_leads_somewhere() -> None:
    pages = read_pages(GUIDE)
    assert {page.path for page in pages} == set(GUIDE.glob("*.md"))
    anchors = {page.path: {slug(h) for h in _headings(page.text)} for page in pages}
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.text):
            if target.startswith(("https://", "http://")):
                continue
            name, _, anchor = target.partition("#")
            path = (GUIDE / name).resolve() if name else page.path
            assert path.is_file(), f"{page.path.name} links to {target}"
            assert path.suffix in (".md", ".png"), f"{target} is not packed with the guide"
            assert not anchor or anchor in anchors[path], f"{page.path.name} links to {target}"


def _headings(text: str) -> list[str]:
    return [line.lstrip("#").strip() for line in text.splitlines() if re.match("#+ ", line)]


def test_the_guide_opens_on_f1_and_shows_pages_and_pictures(
    qtbot: QtBot, window: MainWindow
) -> None:
    assert window.commands.actions["guide"].shortcut().toString() == "F1"
    window.commands.actions["guide"].trigger()
    guide = window.help.guide
    assert isinstance(guide, Guide)
    assert guide.view.document().toPlainText().startswith(guide.pages[0].title)
    picture = QUrl("images/start.png")
    kind = QTextDocument.ResourceType.ImageResource.value

    def drawn() -> bool:
        image = guide.view.document().resource(kind, picture)
        assert 0 < image.deviceIndependentSize().width() <= guide.view.viewport().width()
        return bool(image.pixelColor(image.rect().center()).alpha() == 255)

    qtbot.waitUntil(drawn, timeout=10_000)
    window.commands.actions["guide"].trigger()
    assert window.help.guide is guide


def test_links_headings_and_words_are_found(qtbot: QtBot, window: MainWindow) -> None:
    window.help.show_guide()
    guide = window.help.guide
    assert isinstance(guide, Guide)
    other = guide.pages[1]
    guide.view.follow(QUrl(f"{other.path.name}#{slug(other.headings[-1])}"))
    assert Path(guide.view.source().toLocalFile()) == other.path
    assert guide.view.textCursor().block().text() == other.headings[-1]
    guide.view.backward()
    assert Path(guide.view.source().toLocalFile()) == guide.pages[0].path
    guide.view.follow(QUrl("nowhere.md"))
    assert Path(guide.view.source().toLocalFile()) == guide.pages[0].path
    guide.words.setText("no such words in any page")
    guide.find_next()
    assert guide.found.text() == "Not found"
    guide.words.setText("discriminator")
    guide.find_next()
    assert guide.view.textCursor().selectedText().lower() == "discriminator"
    assert not guide.found.text()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)


def test_troubleshooting_explains_sentences_that_the_program_says() -> None:
    said = " ".join(_literals(ROOT / name) for name in ("app", "core", "trainer"))
    said = re.sub(r"\s+", " ", said)
    text = (GUIDE / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| .+ \|$", text, re.MULTILINE)
    phrases = [part.strip(" ,") for row in rows for part in row.split("…")]
    assert len(phrases) > 40
    missing = [p for p in phrases if p and p != "the sentence says" and p not in said]
    assert missing == []


def _literals(folder: Path) -> str:
    """Every text in the code, f-strings with … for what is filled in."""
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "…" for v in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)
