"""What the files of a synthesised cohort are called: flat in one folder, or as BIDS derivatives."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from app.cli.options import CommandError
from core.files import write_text
from core.io import ENDINGS
from core.modalities import BIDS
from core.version import __version__
from trainer.cohort.case import CohortCase
from trainer.cohort.scan import DERIVED

TABLE = "outcomes.csv"
_BIDS_VERSION = "1.10.0"
_NIFTI = (".nii.gz", ".nii")


class Files(Protocol):
    """Names of files; all relative to ``root``.

    Attributes:
        root: folder of the results.
    """

    root: Path

    def volume(self, case: CohortCase, modality: str, part: str = "") -> str:
        """Return the name of a volume; ``part`` is empty for the mean, or says what else it is."""
        ...

    def label(self, case: CohortCase, path: Path) -> str:
        """Return the name of a copied label map; empty where there can be none."""
        ...

    def about(self, case: CohortCase, modality: str, inputs: Sequence[str]) -> dict[str, Any]:
        """Return what the layout wants in the record beside a volume."""
        ...


class Flat:
    """``CASE-MODALITY.nii.gz``, all in one folder; without an ending the folders of series.

    Args:
        root: the folder.
        suffix: ending of files; empty for DICOM series.
    """

    def __init__(self, root: Path, suffix: str) -> None:
        self.root, self._ending = root, f".{suffix}" if suffix else ""

    def volume(self, case: CohortCase, modality: str, part: str = "") -> str:
        """See :class:`Files`."""
        return "-".join(filter(None, (case.id, modality, part))) + self._ending

    def label(self, case: CohortCase, path: Path) -> str:
        """See :class:`Files`."""
        return path.name if path.name.startswith(case.id) else f"{case.id}-{path.name}"

    def about(self, case: CohortCase, modality: str, inputs: Sequence[str]) -> dict[str, Any]:
        """See :class:`Files`."""
        return {}


class Bids:
    """BIDS derivatives: ``derivatives/mhvae-studio/sub-…/anat/sub-…_space-orig_desc-…_T2w.nii.gz``.

    ``space-orig`` is the space of the image it was made from. A modality that BIDS does not know
    (ultrasound) keeps its own name as suffix and stands in ``.bidsignore``.

    Args:
        dataset: folder that holds, or gets, ``derivatives``; mostly the BIDS data set itself.
        source: where the cases are, for links to the originals.
        cases: all of them.
        whole: whether everything is synthesised, not a field of view or a brain alone.

    Raises:
        CommandError: two cases get one name.
    """

    def __init__(
        self, dataset: Path, source: Path, cases: Sequence[CohortCase], *, whole: bool
    ) -> None:
        self.root = dataset / "derivatives" / DERIVED
        self._source, self._whole = source.resolve(), whole
        self._is_bids = (source / "dataset_description.json").is_file()
        self._linked = self._is_bids and dataset.resolve() == self._source
        taken: dict[str, str] = {}
        for case in cases:
            other = taken.setdefault(_entities(case.id), case.id)
            if other != case.id:
                raise CommandError(
                    f"--bids: expected cases whose names differ in letters or digits; {other} and "
                    f"{case.id} would both be {_entities(case.id)}. Rename one."
                )

    def describe(self) -> None:
        """Write what the data set is, once; the folder must exist."""
        told: dict[str, Any] = {
            "Name": "Images synthesised by MHVAE Studio (research use only)",
            "BIDSVersion": _BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "MHVAE Studio", "Version": __version__}],
        }
        if self._is_bids:
            told["DatasetLinks"] = {"raw": "../.." if self._linked else self._source.as_uri()}
            told["SourceDatasets"] = [{"URL": told["DatasetLinks"]["raw"]}]
        write_text(self.root / "dataset_description.json", json.dumps(told, indent=2) + "\n")
        write_text(self.root / ".bidsignore", f"{TABLE}\n*_iUS.*\n")
        write_text(
            self.root / "README",
            "Synthetic images, made by a model of MHVAE Studio. Not acquired from a patient; for\n"
            "research use only. The JSON file beside each image says which model made it, of\n"
            "what.\n",
        )

    def volume(self, case: CohortCase, modality: str, part: str = "") -> str:
        """See :class:`Files`."""
        what = part.replace("-", "") if part else "synthetic"
        suffix = BIDS.get(modality, re.sub(r"[^A-Za-z0-9]", "", modality))
        return self._name(case, f"desc-{what}_{suffix}", ".nii.gz")

    def label(self, case: CohortCase, path: Path) -> str:
        """See :class:`Files`."""
        ending = next((e for e in _NIFTI if path.name.lower().endswith(e)), "")
        if not ending:
            return ""
        what = re.sub(r"[^A-Za-z0-9]", "", path.name[: -len(ending)].removeprefix(case.id))
        return self._name(case, f"desc-{what or 'labels'}_dseg", ending)

    def about(self, case: CohortCase, modality: str, inputs: Sequence[str]) -> dict[str, Any]:
        """See :class:`Files`."""
        told: dict[str, Any] = {
            "Description": f"Synthetic {modality}, made from {' and '.join(inputs)} by a model",
            # Outside the field of view or the brain there is nothing.
            "SkullStripped": not self._whole,
            "SpatialReference": "orig",
        }
        if self._is_bids:
            paths = [case.files[m].resolve() for m in inputs]
            inside = [p.relative_to(self._source) for p in paths if self._source in p.parents]
            told["Sources"] = [f"bids:raw:{p.as_posix()}" for p in inside]
            # The grid, or the place, is that of the first input.
            told["SpatialReference"] = (told["Sources"] or ["orig"])[0]
        return told

    def _name(self, case: CohortCase, rest: str, ending: str) -> str:
        entities = _entities(case.id)
        folder = entities.replace("_ses-", "/ses-")
        return f"{folder}/anat/{entities}_space-orig_{rest}{ending}"


def _entities(case_id: str) -> str:
    """Return ``sub-…`` or ``sub-…_ses-…`` of a case's id."""
    match = re.match(r"(?:sub-)?(.*?)(?:[-_]?ses-(.*))?$", case_id)
    assert match is not None
    subject, session = (re.sub(r"[^A-Za-z0-9]", "", part or "") for part in match.groups())
    return f"sub-{subject or 'case'}" + (f"_ses-{session}" if session else "")


def record_of(files: Files, name: str) -> Path:
    """Return where the record beside a volume is."""
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), "")
    return files.root / f"{name.removesuffix(ending)}.json"


def told_of(record: Path) -> Mapping[str, Any]:
    """Return what a record says of the cohort it was made in.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is no such record.
    """
    told: Mapping[str, Any] = json.loads(record.read_text(encoding="utf-8"))["cohort"]
    return {"key": told["key"], "row": dict(told["row"])}
