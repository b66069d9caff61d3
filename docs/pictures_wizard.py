"""Makes the pictures of the trainer wizard: eight simulated cases with three problems planted.

``python docs/pictures_wizard.py FOLDER [MAPS]`` needs a screen (or Xvfb) of at least 1200 x 900
pixels. The cohort is simulated into ``FOLDER/iUS-cohort`` unless it is there, which takes some
minutes; MAPS is the folder that ``mhvae-studio simulate --anatomy`` takes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from pictures import IMAGES, wait
from PySide6.QtWidgets import QApplication

from app.processes.jobs import Jobs
from app.state.settings import Settings
from app.training.wizard.draft import DraftStore
from app.training.wizard.page import WizardContext
from app.training.wizard.wizard import TrainerWizard
from core.grid import Grid
from core.io import read, write
from core.simulator import write_cohort
from core.volume import Volume

SIZE = (1120, 760)


def plant(folder: Path, maps: Path | None) -> None:
    """Simulate eight cases; misname a file, move a volume away, take an ultrasound out."""
    write_cohort(8, 1, folder, maps, spacing=1.2, workers=os.cpu_count() or 1)
    (folder / "Case002-T2.nii.gz").rename(folder / "Case002-scan_a.nii.gz")
    for kind in ("iUS", "iUS-expected", "fov"):
        (folder / f"Case006-{kind}.nii.gz").unlink()
    moved = read(folder / "Case004-T2.nii.gz")
    affine = np.array(moved.grid.affine)
    affine[1, 3] += 600
    write(Volume(moved.voxels, Grid(moved.grid.shape, affine)), folder / "Case004-T2.nii.gz")


def main() -> None:
    """Walk through the wizard and keep every page."""
    root = Path(sys.argv[1])
    cohort = root / "iUS-cohort"
    if not cohort.exists():
        plant(cohort, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as scratch:
        jobs = Jobs()
        store = DraftStore(Path(scratch) / "drafts")
        settings = Settings(Path(scratch) / "settings.ini")
        wizard = TrainerWizard(WizardContext(settings, jobs, store, lambda _: root))
        wizard.resize(*SIZE)
        wizard.show()
        wizard.draft.place = root / "runs"

        def keep(name: str) -> None:
            wait(400)
            wizard.grab().save(str(IMAGES / f"wizard-{name}.png"))

        def rest() -> None:
            tasks = (wizard.check.task, wizard.estimate.task)
            while jobs.busy or any(task.running for task in tasks):
                wait(100)

        wizard.folder.take([cohort])
        keep("folder")
        wizard.next()
        rest()
        wizard.scan.table.setCurrentCell(1, 3)
        keep("scan")
        wizard.scan.assign.click()
        wizard.next()
        rest()
        wizard.check.list.setCurrentRow(2)
        keep("check")
        wizard.check.list.setCurrentRow(3)
        keep("check-far")
        wizard.next()
        keep("split")
        wizard.next()
        rest()
        wizard.preset.radios["smoke"].click()
        wizard.preset.tree.set_value("optimiser.steps", "400")
        keep("preset")
        wizard.preset.radios["paper"].click()
        wizard.next()
        rest()
        keep("estimate")
        wizard.back()
        wizard.preset.radios["smoke"].click()
        wizard.next()
        rest()
        wizard.draft.place = root / "runs"
        wizard.next()
        keep("train")
        wizard.reject()
        jobs.close()
    del app


if __name__ == "__main__":
    main()
