"""The wizard's parts that know no screen: corrections, settings, what a draft keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.training.wizard.cases import Row, Table, merge, table_problems
from app.training.wizard.draft import Draft, DraftStore
from app.training.wizard.fields import (
    FIELDS,
    read,
    sections,
    shown,
    summary,
    tooltip,
    value_of,
)
from app.training.wizard.pair_picture import CHECKER, OVERLAY, compose
from trainer.plan.families import without_effect
from trainer.plan.presets import preset
from trainer.plan.schema import SETTINGS, Plan

BOTH = ("iUS", "T2")
PATHS = st.sampled_from([Path(f"/d/{c}.nii.gz") for c in "abcdef"])


def table(**files: dict[str, str]) -> Table:
    rows = [Row(c, c, {k: Path("/d") / p for k, p in fs.items()}) for c, fs in files.items()]
    return Table(tuple(rows))


def everything(found: Table) -> list[Path]:
    placed = [p for row in found.rows for p in row.files.values()]
    return sorted([*placed, *found.strays])


@given(st.lists(st.tuples(st.sampled_from("ABN"), st.sampled_from([*BOTH, "fov"]), PATHS)))
def test_no_correction_loses_or_doubles_a_file(moves: list[tuple[str, str, Path]]) -> None:
    first = Table(
        (
            Row("A", "A", {"T2": Path("/d/a.nii.gz"), "iUS": Path("/d/b.nii.gz")}),
            Row("B", "B", {"T2": Path("/d/c.nii.gz")}),
        ),
        tuple(Path(f"/d/{c}.nii.gz") for c in "def"),
    )
    now = first
    for case, kind, path in moves:
        now = now.assign(case, kind, path)
        assert everything(now) == everything(first)
        assert now.row(case).files[kind] == path
    for row in now.rows:
        for kind in list(row.files):
            now = now.clear(row.id, kind)
    assert sorted(now.strays) == everything(first)


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(BOTH), PATHS), max_size=5))
def test_scanning_again_without_changes_changes_nothing(
    moves: list[tuple[str, str, Path]],
) -> None:
    scanned = table(A={"T2": "a.nii.gz", "iUS": "b.nii.gz"}, B={"T2": "c.nii.gz"})
    scanned = Table(scanned.rows, tuple(Path(f"/d/{c}.nii.gz") for c in "def"))
    mine = scanned
    for case, kind, path in moves:
        if case in {row.id for row in mine.rows}:
            mine = mine.assign(case, kind, path)
    again = merge(scanned, mine, scanned)
    assert {r.id: r.files for r in mine.rows}.items() <= {r.id: r.files for r in again.rows}.items()
    assert everything(again) == everything(scanned)


def test_troubles_name_the_case_and_a_way_out() -> None:
    found = table_problems(
        Table(
            (
                Row("A", "A", {"T2": Path("/d/a"), "iUS": Path("/d/b")}),
                Row("B", "B", {"T2": Path("/d/a")}),
                Row("C", "C", {"fov": Path("/d/c")}),
                Row("D", "D", {"fov": Path("/d/c")}, used=False),
            ),
            (Path("/d/B-x.nii"),),
        ),
        BOTH,
        frozenset([Path("/d/b")]),
    )
    assert set(found) == {"A", "B", "C"}
    assert [t.severity for t in found["A"]] == ["error", "error"]
    assert "b (iUS) is not there" in found["A"][0].text
    assert "Shares a file with A" in found["B"][0].text
    assert "B-x.nii may be it" in found["B"][1].text
    assert "No image at all" in found["C"][0].text


def test_every_setting_of_a_plan_is_described_once() -> None:
    names = set()
    for key, value in Plan().to_dict().items():
        names |= {f"{key}.{n}" for n in value} if isinstance(value, dict) else {key}
    elsewhere = {"cohort", "exclude", "preset", "start_from", "grow", "transformer_from"}
    elsewhere |= {"model.modalities", "model.hierarchical", *without_effect("mhvae")}
    assert names - {"schema"} == set(FIELDS) | elsewhere == set(SETTINGS)
    assert not set(FIELDS) & elsewhere
    assert {one.name for group in sections().values() for one in group} == set(FIELDS)
    for name, field in FIELDS.items():
        tip = tooltip(field, value_of(Plan(), name))
        assert "Default: " in tip
        assert "Paper: " in tip
    assert "GAN from 50% of the run" in summary(preset("smoke"))
    assert "8 hours, no GAN" in summary(preset("quick"))


@pytest.mark.parametrize("name", ["smoke", "quick", "paper"])
def test_what_a_setting_shows_is_read_back_the_same(name: str) -> None:
    plan = preset(name)
    for field in FIELDS:
        text = shown(value_of(plan, field))
        assert plan.override({field: read(field, text)}) == plan


def test_a_pair_with_one_image_is_shown_as_it_is() -> None:
    picture = np.zeros((30, 30), np.uint8)
    picture[10:20] = 77
    for mode in (CHECKER, OVERLAY):
        assert (compose(picture, 2, mode) == 77).all()


def test_a_draft_keeps_everything_and_replaces_itself_whole(tmp_path: Path) -> None:
    store = DraftStore(tmp_path / "deep" / "drafts")
    draft = Draft(source=tmp_path, page=3, table=table(A={"T2": "a"}), decisions={"A": False})
    draft.scanned, draft.place = draft.table, tmp_path / "p"
    draft.plan = preset("smoke").override({"data.batch": 3})
    store.save(draft)
    assert store.load(draft.id) == draft
    assert [p.name for p in (store.root / draft.id).iterdir()] == ["draft.json"]
    assert not draft.edited
    assert draft.write_cohort(tmp_path).exclude == ("A",)
    draft.table = draft.table.name_patient("A", "P")
    assert draft.edited
    assert draft.write_cohort(tmp_path).cohort == str(tmp_path / "cohort.csv")


def test_the_wizard_pays_for_no_torch() -> None:
    code = (
        "import sys, app.training.wizard.wizard, app.training.wizard.start_run;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
