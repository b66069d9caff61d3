"""No modality's name stands in the code: a table says what is known of each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.io.modality import guess_from_text, names_in
from core.modalities import OFFERED, PAPER, SWEPT, TABLE, reference_of
from core.models.bundle import Preprocessing

ROOT = Path(__file__).parents[2]
SIMULATOR = ROOT / "core" / "simulator"
"""Makes an ultrasound of a T2, so it may say so."""


def code_strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and value of every string that is no documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in documentation:
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value


def names_swept(text: str) -> bool:
    """Tell whether a string is a name the code works with; sentences for people have spaces."""
    swept = "|".join(SWEPT)
    return bool(re.search(rf"(?<!\w)(?:{swept})(?!\w)", text)) and " " not in text.strip()


def test_no_code_knows_the_swept_modality_by_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for room in ("app", "core", "trainer")
        for path in sorted((ROOT / room).rglob("*.py"))
        if SIMULATOR not in path.parents
        for line, text in code_strings(path)
        if names_swept(text)
    ]
    assert found == []


def test_the_search_finds_names_and_leaves_sentences() -> None:
    assert names_swept("iUS")
    assert names_swept("iUS,T2")
    assert names_swept("-iUS.nii.gz")
    assert not names_swept("write simulated T2 and iUS cases")
    assert not names_swept("status")


def test_the_table_holds_together() -> None:
    names = {one.name for one in TABLE}
    assert {*PAPER, *OFFERED, *SWEPT} <= names
    assert SWEPT == ("iUS",)
    assert PAPER == ("iUS", "T2")
    assert {one.authors: one.name for one in TABLE if one.authors} == {
        "us": "iUS", "t2": "T2", "cet1": "ceT1", "flair": "FLAIR",
    }  # fmt: skip
    for name in OFFERED:
        assert guess_from_text(f"Case1-{name}.nii.gz", "file name")[0] == name
    assert [one.modality for one in names_in("iUS-to-T2")] == ["iUS"]


def test_a_swept_modality_is_the_reference() -> None:
    assert reference_of(("T2", "iUS")) == "iUS"
    assert reference_of(["FLAIR", "T2"]) == "FLAIR"
    with pytest.raises(ValueError, match="No modality"):
        reference_of(())


def test_a_model_says_itself_what_is_swept() -> None:
    assert Preprocessing().swept == SWEPT  # a bundle that was written before models said it
    assert Preprocessing(swept=("T2",)).swept == ("T2",)
