"""No modality's name stands in the code: a table says what is known of each."""

from __future__ import annotations

import re

import pytest
from code_strings import code_strings

from core.io.modality import guess_from_text, names_in
from core.modalities import OFFERED, PAPER, SWEPT, TABLE, reference_of
from core.models.bundle import Preprocessing

SIMULATOR = "core/simulator/"
"""Makes an ultrasound of a T2, so it may say so."""


def names_swept(text: str) -> bool:
    """Tell whether a string is a name the code works with; sentences for people have spaces."""
    swept = "|".join(SWEPT)
    return bool(re.search(rf"(?<!\w)(?:{swept})(?!\w)", text)) and " " not in text.strip()


def test_no_code_knows_the_swept_modality_by_name() -> None:
    found = [
        f"{file}:{line}: {text!r}"
        for file, line, text in code_strings("app", "core", "trainer")
        if names_swept(text) and not file.startswith(SIMULATOR)
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
