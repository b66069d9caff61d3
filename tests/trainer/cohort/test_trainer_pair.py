"""Which file of a folder is which: right, or a problem; never something that is not there."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import write_series
from trainer_cohort import CONFIG, tiny_plan, write_cohort

from app import cli
from core.models import weights
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.model import MHVAE
from trainer.cohort.case import CohortCase
from trainer.cohort.names import patient_of
from trainer.cohort.scan import names_of, scan, survey
from trainer.cohort.split import PARTS, draw
from trainer.errors import TrainerError
from trainer.plan.schema import DataPlan

BOTH = ("iUS", "T2")
REMIND = (
    "Preop-MR/{0}-preop-MR-3D_AX_T2_SPACE.nrrd",
    "Preop-MR/{0}-preop-MR-2D_AX_T2_FLAIR.nrrd",
    "Preop-MR/{0}-preop-MR-3D_AX_T1_postcontrast.nrrd",
    "Intraop-US/{0}-intraop-US-pre_dura.nrrd",
    "Intraop-US/{0}-intraop-US-post_dura.nrrd",
    "Annotations/{0}-preop-SEG-tumor-MR-3D_AX_T2_SPACE.nrrd",
)


def lay(root: Path, *names: str) -> Path:
    """Make files of these names; pairing reads none of them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    root.mkdir(exist_ok=True)
    return root


def told(root: Path) -> dict[str, dict[str, str]]:
    return {case.id: names_of(case) for case in survey(root, BOTH).cases}


def pairs(*cases: str) -> dict[str, dict[str, str]]:
    return {c: {"T2": f"{c}-T2.nii.gz", "iUS": f"{c}-iUS.nii.gz"} for c in cases}


@pytest.mark.parametrize("flat", [False, True])
def test_the_layout_of_remind(flat: bool, tmp_path: Path) -> None:
    for name in ("Case001", "Case002"):
        names = [each.format(name) for each in REMIND]
        lay(tmp_path, *(Path(n).name if flat else f"{name}/{n}" for n in names))
    cases = scan(tmp_path, BOTH)
    assert told(tmp_path) == {
        c: {
            "T2": f"{c}-preop-MR-3D_AX_T2_SPACE.nrrd",
            "iUS": f"{c}-intraop-US-pre_dura.nrrd",
        }
        for c in ("Case001", "Case002")
    }
    for case in cases:
        assert not case.problem
        assert any("post_dura" in doubt and "is used" in doubt for doubt in case.doubts)
        assert [p.name for p in case.labels] == [Path(REMIND[-1].format(case.id)).name]
        assert case.reasons["T2"] == "its name contains “t2”"


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("T2_FLAIR", "FLAIR"),
        ("t2-flair", "FLAIR"),
        ("T2 FLAIR", "FLAIR"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("AX_T2_TSE_DARK_FLUID", "FLAIR"),
        ("T2star", "T2star"),
        ("t2_fl2d_tra_hemo", "T2star"),
        ("T2_map", "T2map"),
    ],
)
def test_what_only_sounds_like_a_t2_is_none(name: str, modality: str, tmp_path: Path) -> None:
    lay(tmp_path, f"Case001-{name}.nii.gz", "Case001-iUS.nii.gz")
    (case,) = scan(tmp_path, BOTH)
    assert set(case.files) == {"iUS"}
    assert any(name in doubt and f"is {modality}" in doubt for doubt in case.doubts)
    (case,) = scan(tmp_path, ("iUS", modality))
    assert set(case.files) == {"iUS", modality}


LAYOUTS: dict[str, tuple[tuple[str, ...], dict[str, dict[str, str]]]] = {
    "umlauts": (("Müller-T2.nii.gz", "Müller-iUS.nii.gz"), pairs("Müller")),
    "a word that ends in us": (
        ("Zeus1 T2.nii", "Zeus1 iUS.nii"),
        {"Zeus1": {"T2": "Zeus1 T2.nii", "iUS": "Zeus1 iUS.nii"}},
    ),
    "no spaces in the script": (
        ("患者01T2.nii.gz", "患者01iUS.nii.gz"),
        {"患者01": {"T2": "患者01T2.nii.gz", "iUS": "患者01iUS.nii.gz"}},
    ),
    "spaces": (
        ("case 1 T2.nii.gz", "case 1 US.nii.gz", "case 2 T2.nii.gz", "case 2 US.nii.gz"),
        {f"case {n}": {"T2": f"case {n} T2.nii.gz", "iUS": f"case {n} US.nii.gz"} for n in (1, 2)},
    ),
    "underscores": (
        ("case_1_t2.nii.gz", "case_1_us.nii.gz"),
        {"case_1": {"T2": "case_1_t2.nii.gz", "iUS": "case_1_us.nii.gz"}},
    ),
    "capitals": (
        ("Case001-T2.NII.GZ", "CASE001-IUS.NII"),
        {"CASE001": {"iUS": "CASE001-IUS.NII", "T2": "Case001-T2.NII.GZ"}},
    ),
    "one and ten": (
        ("Case1-T2.nii.gz", "Case1-iUS.nii.gz", "Case10-T2.nii.gz", "Case10-iUS.nii.gz"),
        pairs("Case1", "Case10"),
    ),
    "the image first": (
        ("T2_Case001.nii.gz", "iUS_Case001.nii.gz", "T2_Case002.nii.gz"),
        {
            "Case001": {"T2": "T2_Case001.nii.gz", "iUS": "iUS_Case001.nii.gz"},
            "Case002": {"T2": "T2_Case002.nii.gz"},
        },
    ),
    "the number last": (
        ("Case_T2_001.nii", "Case_iUS_001.nii", "Case_T2_002.nii", "Case_iUS_003.nii"),
        {
            "Case-001": {"T2": "Case_T2_001.nii", "iUS": "Case_iUS_001.nii"},
            "Case-002": {"T2": "Case_T2_002.nii"},
            "Case-003": {"iUS": "Case_iUS_003.nii"},
        },
    ),
    "a folder for each image": (
        ("T2/Case001.nii.gz", "iUS/Case001.nii.gz"),
        {"Case001": {"T2": "Case001.nii.gz", "iUS": "Case001.nii.gz"}},
    ),
    "training and test": (
        ("train/Case001/T2.nii", "train/Case001/iUS.nii", "test/Case002/T2.nii"),
        {"Case001": {"T2": "T2.nii", "iUS": "iUS.nii"}, "Case002": {"T2": "T2.nii"}},
    ),
    "sites": (
        ("A/Case1/T2.nii", "A/Case1/iUS.nii", "A/Case2/T2.nii", "A/Case2/iUS.nii"),
        {f"A_Case{n}": {"T2": "T2.nii", "iUS": "iUS.nii"} for n in (1, 2)},
    ),
    "the folder is the case": (("T2.nii", "iUS.nii"), {"one": {"T2": "T2.nii", "iUS": "iUS.nii"}}),
    "moved onto the other": (
        ("Case1-T2-to-iUS.nii", "Case1-iUS.nii"),
        {"Case1": {"T2": "Case1-T2-to-iUS.nii", "iUS": "Case1-iUS.nii"}},
    ),
    "masks and results": (
        (
            "Case1-T2.nii", "Case1-iUS.nii", "Case1-fov.nii", "Case1-tumor_mask.nii",
            "Case1-T2-mask.nii", "Case1-synthetic-T2.nii", "Case1-dseg.nii",
        ),
        {"Case1": {"T2": "Case1-T2.nii", "iUS": "Case1-iUS.nii", "fov": "Case1-fov.nii"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts_as_people_have_them(kind: str, tmp_path: Path) -> None:
    names, expected = LAYOUTS[kind]
    root = lay(tmp_path / "one", *names)
    assert told(root) == expected
    assert not any(case.problem for case in scan(root, BOTH))


@pytest.mark.parametrize(
    "names",
    [
        ("Case001-T2-SPACE.nii", "Case001-T2-BLADE.nii", "Case001-iUS.nii"),
        ("Case001/T2.nii", "Case001/other/T2.nii", "Case001/iUS.nii"),
        ("Case001-T2.nii", "Case001-T2-1.nii", "Case001-iUS.nii"),
        ("Case001-T1-T2.nii", "Case001-iUS.nii"),
        ("Case001-US-1.nii", "Case001-US-2.nii", "Case001-US.nii", "Case001-T2.nii"),
        ("Case001-US-post_dura.nii", "Case001-US-during.nii", "Case001-T2.nii"),
        ("Case001-fov.nii", "Case001-iUS-mask.nii", "Case001-iUS.nii", "Case001-T2.nii"),
    ],
)
def test_what_may_be_either_is_a_problem_and_never_chosen(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    (case,) = scan(lay(tmp_path, *names), BOTH)
    assert "Nothing was chosen" in case.problem
    with pytest.raises(TrainerError, match="may be"):
        case.refuse()
    # The window lets people assign them by hand.
    assert survey(tmp_path, BOTH).strays


def test_one_taken_late_is_used_with_a_word(tmp_path: Path) -> None:
    (case,) = scan(lay(tmp_path, "Case1-US-after.nii", "Case1-T2.nii"), BOTH)
    assert set(case.files) == set(BOTH)
    assert any("the brain may have moved" in doubt for doubt in case.doubts)


def test_spellings_of_one_name_are_one_case(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Jérôme") for form in ("NFC", "NFD")]
    lay(tmp_path, f"{names[0]}-T2.nii", f"{names[1]}-iUS.nii")
    (case,) = scan(tmp_path, BOTH)
    assert set(case.files) == set(BOTH)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    for kind in BOTH:
        (tmp_path / os.fsdecode(b"M\xfcller-" + kind.encode() + b".nii")).write_bytes(b"x")
    (case,) = scan(tmp_path, BOTH)
    assert set(case.files) == set(BOTH)
    case.id.encode("utf-8")
    json.dumps(names_of(case)).encode("utf-8")


def test_links_to_folders_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    cohort = lay(tmp_path / "cohort", "Case001/T2.nii", "Case001/iUS.nii")
    lay(tmp_path / "away", "Case002/T2.nii", "Case002/iUS.nii")
    try:
        (cohort / "Case002").symlink_to(tmp_path / "away" / "Case002")
        (cohort / "Case001" / "round").symlink_to(cohort)
        (cohort / "latest").symlink_to(cohort / "Case001")
        (cohort / "Case003-T2.nii").symlink_to(tmp_path / "gone.nii")
    except OSError:
        pytest.skip("this system lets nobody make links")
    (cohort / "Case004").write_text("../away/Case002")
    assert set(told(cohort)) == {"Case001", "Case002"}
    said = " ".join(scan(cohort, BOTH)[0].doubts)
    for words in ("latest is a link", "round is a link", "Case003-T2.nii is a link", "Case004"):
        assert words in said


def test_dicom_without_an_ending_is_a_series_and_its_header_counts(tmp_path: Path) -> None:
    def series(folder: str, description: str) -> None:
        write_series(tmp_path / folder, count=4, each={}, SeriesDescription=description)
        for n, path in enumerate(sorted((tmp_path / folder).iterdir())):
            path.rename(path.with_name(f"IM{n:04d}"))

    series("Case001/SE01", "t2_space_sag")
    series("Case001/SE02", "t2_tirm_dark-fluid")
    lay(tmp_path, "Case001/iUS.nii")
    series("Case002/T2", "FLAIR")
    lay(tmp_path, "Case002/iUS.nii")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    first, second = scan(tmp_path, BOTH)
    assert first.files["T2"].name == "SE01"
    assert first.reasons["T2"] == "series description contains “t2”"
    assert "SE01" not in json.dumps(names_of(first))  # a folder may be called after a patient
    assert "may be T2 or FLAIR" in second.problem


def test_before_and_after_are_one_patient_in_every_split(tmp_path: Path) -> None:
    for case, patient in {
        "Case1_pre": "Case1",
        "Case1_post": "Case1",
        "Case1-US-after": "Case1",
        "P07 post-resection": "P07",
        "sub-01_ses-2": "sub-01",
        "P3_visit2": "P3",
        "Case001": "Case001",
        "Prescott": "Prescott",
    }.items():
        assert patient_of(case) == patient
    names = [f"P{n}_{w}/{m}.nii" for n in range(8) for w in ("pre", "post") for m in BOTH]
    cases = scan(lay(tmp_path, *names), BOTH)
    assert len(cases) == 16
    for seed in range(20):
        split = draw(cases, DataPlan(split_seed=seed))
        part = {case: p for p in PARTS for case in split[p]}
        assert all(part[f"P{n}_pre"] == part[f"P{n}_post"] for n in range(8))
    lines = ["case,T2", *(f"{c.id},{c.id}/T2.nii" for c in cases)]
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    listed = scan(tmp_path / "cases.csv", BOTH)
    assert {c.patient for c in listed} == {f"P{n}" for n in range(8)}


@pytest.mark.parametrize(
    "text",
    [
        "case;iUS;T2\nX;a-iUS.nii;a-T2.nii\n",
        "Case\tT2\tIUS\nX\ta-T2.nii\ta-iUS.nii\n",
        "sep=;\nCASE;t2;us;Patient\nX;a-T2.nii;a-iUS.nii;\n\n",
        "case,T2,iUS\r\nX,a-T2.nii,a-iUS.nii\r\n",
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_lists_as_spreadsheets_write_them(text: str, coding: str, tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_bytes(text.replace("X", "Ä").encode(coding))
    (case,) = scan(path, BOTH)
    assert (case.id, case.patient) == ("Ä", "Ä")
    assert names_of(case) == {"T2": "a-T2.nii", "iUS": "a-iUS.nii"}


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/b", "a\\b", "C:x", "..", ".hidden", "-o", "x" * 300, "a\x07b"]
)
def test_a_listed_id_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(f'case,T2\n"{name}",a.nii\n')
    with pytest.raises(TrainerError, match=r"cases\.csv, line 2"):
        scan(tmp_path / "cases.csv", BOTH)


@pytest.fixture
def doors(tmp_path: Path) -> Path:
    """A cohort of whole volumes: one clear case, one with two T2, one with a FLAIR for a T2."""
    made = write_cohort(tmp_path / "made", 3)
    for n in range(3):
        for kind, name in (("T2", "preop-MR-3D_AX_T2_SPACE"), ("iUS", "intraop-US-pre_dura")):
            place = tmp_path / "cohort" / f"Case00{n}"
            place.mkdir(parents=True, exist_ok=True)
            shutil.move(made / f"Case00{n}-{kind}.nii.gz", place / f"Case00{n}-{name}.nii.gz")
        late = nib.Nifti1Image(np.full((4, 4, 4), 7.0, np.float32), np.eye(4))
        nib.save(late, place / f"Case00{n}-intraop-US-post_dura.nii.gz")
    second = tmp_path / "cohort" / "Case001"
    shutil.copy(
        second / "Case001-preop-MR-3D_AX_T2_SPACE.nii.gz", second / "Case001-2D_AX_T2_BLADE.nii.gz"
    )
    third = tmp_path / "cohort" / "Case002"
    (third / "Case002-preop-MR-3D_AX_T2_SPACE.nii.gz").rename(
        third / "Case002-preop-MR-2D_AX_T2_FLAIR.nii.gz"
    )
    return tmp_path / "cohort"


USED = {
    "T2": "Case000-preop-MR-3D_AX_T2_SPACE.nii.gz",
    "iUS": "Case000-intraop-US-pre_dura.nii.gz",
}


def test_every_door_names_its_files_and_takes_nothing_that_is_not_there(
    doors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "small.safetensors"
    weights.save(Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"), MHVAE(CONFIG), model)

    def ran(*words: object, code: int = 0) -> str:
        assert cli.main([str(w) for w in words]) == code
        return capsys.readouterr().out

    found = json.loads(ran("check", doors, "--json", code=2))["cases"]
    assert found[0]["sources"] == USED
    assert [c["usable"] for c in found] == [True, False, True]
    assert "may be its T2" in found[1]["problems"][-1]["text"]
    assert "T2" not in found[2]["sources"]

    out = tmp_path / "prepared"
    ran("prepare", doors, "--out", out, "--spacing", 2, "--workers", 1)
    made = json.loads((out / "outcomes.json").read_text())["cases"]
    assert made[0]["sources"] == USED
    assert made[1]["outcome"] == "failed"
    assert "may be its T2" in made[1]["reason"]
    assert made[2]["modalities"] == ["iUS"]
    assert "is FLAIR" in made[2]["reason"]
    for text in ("outcomes.csv", "qc.html"):
        assert USED["T2"] in (out / text).read_text()
        assert str(tmp_path) not in (out / text).read_text()

    out = tmp_path / "made-of-it"
    ran("synthesize", "--cohort", doors, "--target", "iUS", "--model", model, "--out", out)
    table = (out / "outcomes.csv").read_text().splitlines()
    assert f"T2 {USED['T2']}" in table[1]
    assert "failed" in table[2]
    assert "failed" in table[3]  # nothing is made of a FLAIR
    assert json.loads((out / "Case000-iUS.json").read_text())["sources"] == USED

    plan = tiny_plan(doors, optimiser__steps=1, loss__gan=0, data__test=0, data__validation=0)
    plan.save(tmp_path / "plan.json")
    ran("train", tmp_path / "plan.json", "--out", tmp_path / "run", "--quiet")
    log = [json.loads(line) for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    files = json.loads((tmp_path / "run/files.json").read_text(encoding="utf-8"))
    assert files["Case000"] == USED
    said = " ".join(event["text"] for event in log if event["event"] == "warning")
    assert "Case001: " in said
    assert "may be its T2" in said

    out = tmp_path / "report"
    ran("evaluate", doors, "--model", model, "--out", out, "--slices", 2)
    report = json.loads((out / "report.json").read_text())
    assert report["sources"]["Case000"] == USED
    assert any("may be its T2" in problem for problem in report["problems"])
    assert USED["iUS"] in (out / "report.html").read_text()


@pytest.mark.parametrize("layout", ["03_remind_layout", "04_flat_flair", "20_cohort_uppercase"])
def test_reported_layouts(layout: str, real_data: Path) -> None:
    cases: list[CohortCase] = scan(real_data / "reported" / layout, BOTH)
    assert not any(case.problem for case in cases)
    for case in cases:
        names = names_of(case)
        if layout == "04_flat_flair":
            assert set(names) == {"iUS"}
            continue
        assert set(names) == {"iUS", "T2"}
        assert "FLAIR" not in names["T2"]
        assert "post" not in names["iUS"]


def test_reported_links(real_data: Path) -> None:
    cases = scan(real_data / "reported" / "11_links", BOTH)
    assert cases[0].id == "Case001"
    assert len(cases) == 2 or any("Case002" in doubt for doubt in cases[0].doubts)
