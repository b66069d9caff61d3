"""Names of labels from Slicer's segmentations, BIDS tables and ITK-SNAP's descriptions."""

from __future__ import annotations

from pathlib import Path

from core.assets import DEMO_CASE
from core.io import label_names

SEGMENTATION = b"""NRRD0004
# from a program
type: uint8
dimension: 3
space: left-posterior-superior
sizes: 2 2 2
space directions: (1,0,0) (0,1,0) (0,0,1)
kinds: domain domain domain
encoding: raw
space origin: (0,0,0)
Segment0_LabelValue:=2
Segment0_Name:=Tumour core
Segment1_LabelValue:=5
Segment1_Name:=Cavity

\0\0\2\2\5\5\0\0"""

DESCRIPTION = """# ITK-SnAP Label Description File
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "Ventricle, left"
    2     0  255    0        1  1  1    "Tumour"
"""


def test_segments_of_slicer(tmp_path: Path) -> None:
    path = tmp_path / "x.seg.nrrd"
    path.write_bytes(SEGMENTATION)
    assert label_names(path) == {2: "Tumour core", 5: "Cavity"}


def test_a_table_beside_the_volume(tmp_path: Path) -> None:
    (tmp_path / "sub-1_dseg.tsv").write_text("index\tname\tcolor\n3\tGrey matter\t#fff\nx\tno\t\n")
    assert label_names(tmp_path / "sub-1_dseg.nii.gz") == {3: "Grey matter"}


def test_label_description_of_itk_snap(tmp_path: Path) -> None:
    (tmp_path / "seg.txt").write_text(DESCRIPTION)
    assert label_names(tmp_path / "seg.nii") == {
        0: "Clear Label", 1: "Ventricle, left", 2: "Tumour",
    }  # fmt: skip


def test_what_says_nothing_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("notes about the patient\n1 2 3\n")
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe\0\0\n")
    assert label_names(tmp_path / "a.nii.gz") == {}
    (tmp_path / "b.nrrd").write_bytes(b"NRRD0004\ncut")
    assert label_names(tmp_path / "b.nrrd") == {}


def test_the_demo_case_names_its_labels() -> None:
    names = label_names(next(DEMO_CASE.glob("*labels.nii*")))
    assert names[4] == "Ventricle"
    assert len(names) == 18
