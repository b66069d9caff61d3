"""Writes a run as a zip that can leave the machine: no case names, no paths, no checkpoints."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from core.files import replacing
from trainer.errors import TrainerError
from trainer.plan.schema import PRIVATE
from trainer.run.crash import clean
from trainer.run.events import parse

TEXTS = ("events.jsonl", "crash.txt", "report/report.html", "report/scores.csv",
         "report/report.json")  # fmt: skip
BINARIES = ("model.safetensors",)


def export_run(run: Path, place: Path) -> Path:
    """Write ``place``; case ids become ``case-001``, … in every text.

    Raises:
        TrainerError: the run cannot be read or the file cannot be written.
    """
    try:
        aliases = case_aliases(run)
        with replacing(place) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
            told = {k: v for k, v in plan.items() if k not in PRIVATE}
            archive.writestr("plan.json", json.dumps(told, indent=1))
            archive.write(run / "run.json", "run.json")
            names = _names(plan)
            for name in TEXTS:
                if (run / name).is_file():
                    text = (run / name).read_text(encoding="utf-8", errors="replace")
                    text = _told(text) if name.endswith(".jsonl") else text
                    archive.writestr(name, anonymize(text, aliases, names))
            for name in BINARIES:
                if (run / name).is_file():
                    archive.write(run / name, name, zipfile.ZIP_STORED)
            for picture in sorted((run / "previews").glob("step-*.png")):
                archive.write(picture, f"previews/{picture.name}", zipfile.ZIP_STORED)
    except (OSError, ValueError) as error:
        raise TrainerError(
            f"{place.name} could not be written ({error}). Choose a folder you may write to, with "
            "free space."
        ) from error
    return place


def case_aliases(run: Path) -> dict[str, str]:
    """Return case id → ``case-001``, … from the run's split; empty before there is one."""
    try:
        split = json.loads((run / "split.json").read_text(encoding="utf-8"))
        ids = sorted({str(case) for cases in split.values() for case in cases})
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
    return {case: f"case-{n:03d}" for n, case in enumerate(ids, 1)}


def anonymize(text: str, aliases: dict[str, str], names: set[str]) -> str:
    """Return a text with cases renamed, and without paths and ``names``.

    Pictures inside a page (data URIs) are left alone.
    """
    parts = re.split(r"(data:image/png;base64,[A-Za-z0-9+/=]+)", text)
    parts[::2] = [_anonymize(part, aliases, names) for part in parts[::2]]
    return "".join(parts)


def _anonymize(text: str, aliases: dict[str, str], names: set[str]) -> str:
    if aliases:
        longest = sorted(aliases, key=len, reverse=True)
        pattern = "|".join(re.escape(case) for case in longest)
        # Not inside a longer word, but before "-T2.nii.gz" and the like.
        text = re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda m: aliases[m[0]], text)
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "cohort", text)
    return text


def _told(log: str) -> str:
    """Return a log's events with paths and names taken out of their sentences."""
    lines = []
    for line in log.splitlines():
        event = parse(line.encode())
        if event is not None:
            texts = {k: clean(v) for k, v in event.items() if k in ("text", "reason")}
            lines.append(json.dumps({**event, **texts}))
    return "\n".join(lines) + "\n"


def _names(plan: dict[str, object]) -> set[str]:
    cohort = str(plan.get("cohort", ""))
    return {n for n in (cohort, Path(cohort).name) if len(n) > 2}
