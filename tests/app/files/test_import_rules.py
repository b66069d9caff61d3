"""What is opened at once, what is asked, and what is set beforehand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from app.files.import_rules import (
    KEEP,
    LABEL_MAP,
    SKIP,
    first_choices,
    needs_decision,
    rank,
    summary,
)
from core.grid import Grid
from core.io import Header

GRID = Grid((4, 5, 6), np.eye(4))


def header(name: str, modality: str = "T2", **more: object) -> Header:
    made = Header(Path("/x") / name, "NIfTI-1", GRID, modality=modality)
    return replace(made, **more)  # type: ignore[arg-type]


def series(name: str, modality: str = "T2", **more: object) -> Header:
    return header(name, modality, series=name, members=(Path("/x/1"), Path("/x/2")), **more)


BAD = replace(header("torn"), grid=None, problem="torn: cut short.")


def asked(*headers: Header) -> bool:
    return needs_decision(first_choices(headers, {}))


def test_a_few_plain_files_are_opened_without_asking() -> None:
    assert not asked(header("T2"))
    assert not asked(header("T2"), header("iUS", "iUS"), header("labels.nii", ""))
    assert not asked(series("T2"))
    assert not asked(header("made", "", synthetic=True))
    assert not asked(BAD)  # one sentence will do


def test_what_needs_a_decision_is_asked() -> None:
    assert asked(header("T2"), BAD)
    assert asked(header("unknown", ""))
    assert asked(series("T2"), series("T1", "T1"))
    assert asked(header("T2", duplicate="Its content is that of T2."))
    assert asked(series("T2", nature="derived"))
    assert asked(series("T2", remarks=("One slice was chosen.",)))
    assert asked(*(header(f"T2-{n}") for n in range(5)))
    known = {(Path("/x/T2"), ""): "T2 (T2)"}
    rows = first_choices([header("T2")], known)
    assert needs_decision(rows)
    assert rows[0].verdict == "The case holds it already, as T2 (T2)."


def test_what_is_set_beforehand() -> None:
    rows = first_choices(
        [
            BAD,
            series("T2"),
            series("scout", nature="localizer"),
            series("T2 reformatted", nature="derived"),
            series("FLAIR reformatted", "FLAIR", nature="derived"),
            header("T2-copy", duplicate="Its content is that of T2."),
            header("seg.nii", ""),
        ],
        {},
    )
    assert [(r.header.path.name, r.action) for r in rows] == [
        ("T2", KEEP),
        ("scout", SKIP),
        ("T2 reformatted", SKIP),  # the original is there
        ("FLAIR reformatted", KEEP),
        ("T2-copy", SKIP),
        ("seg.nii", KEEP),
        ("torn", SKIP),
    ]
    assert rows[5].modality == LABEL_MAP
    assert summary(rows) == "3 to open, 3 to skip, 1 cannot be used."
    assert [r.header.path.name for r in sorted(rows[:6], key=rank)][-1] == "seg.nii"


def test_labels_drawn_on_an_image_are_no_image() -> None:
    names = ("Case1-SEG-tumor-MR-3D_AX_T2_SPACE.nrrd", "T2_brainmask.nii", "T2-unmasked.nii")
    rows = first_choices([header(name, "T2") for name in names], {})
    assert [row.modality for row in rows] == [LABEL_MAP, LABEL_MAP, "T2"]


def test_other_frames_of_reference_are_named() -> None:
    rows = first_choices(
        [series("T2", frame="a"), series("T1", "T1", frame="a"), series("iUS", "iUS", frame="b"),
         header("x.nii", "FLAIR")],
        {},
    )  # fmt: skip
    assert [bool(row.apart) for row in rows] == [False, False, True, False]
    assert "another frame of reference than those of T2" in rows[2].verdict


def test_many_volumes_wait_for_a_choice() -> None:
    rows = first_choices([header(f"T2-{n}") for n in range(13)], {})
    assert not any(row.kept for row in rows)
    assert "say which to keep" in summary(rows)
