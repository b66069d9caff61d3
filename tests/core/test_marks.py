"""The words that mark a synthetic image stand once, and every place that shows them takes them."""

from __future__ import annotations

from code_strings import code_strings

from core.marks import RESEARCH_USE, SIMULATED_MARK, SYNTHETIC_MARK, WORD, synthetic_notice

HOME = "core/marks.py"


def test_the_marks_stand_once() -> None:
    again = [
        f"{file}:{line}: {text!r}"
        for file, line, text in code_strings("app", "core", "trainer")
        if file != HOME and (WORD in text or "simulated data" in text.lower())
    ]
    assert again == []


def test_every_mark_says_research_use() -> None:
    for text in (SYNTHETIC_MARK, SIMULATED_MARK, synthetic_notice()):
        assert RESEARCH_USE in text.lower()
    assert synthetic_notice("For teaching only.") == "SYNTHETIC IMAGE. For teaching only."


def test_files_that_were_written_stay_readable() -> None:
    assert SYNTHETIC_MARK.split()[0] == "SYNTHETIC"
