"""A model's card in the form that model hubs read: Markdown with a head of YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.models.bundle import Bundle

TAGS = ("medical", "mri", "ultrasound", "brain", "image-to-image", "vae", "synthetic-data")


def model_facts(bundle: Bundle) -> Mapping[str, Any]:
    """Return what a model's card says, label → text or table, in the order people read it."""
    config, made, card = bundle.config, bundle.preprocessing, bundle.card
    spacing = " × ".join(f"{s:g}" for s in made.spacing)
    found: dict[str, Any] = {
        "Summary": card.get("summary", ""),
        "Modalities": ", ".join(config.modalities),
        "Trained on": card.get("trained_on", "") or _training(card),
        "Limits": card.get("limits", ""),
        "Metrics": card.get("metrics", {}),
        "Works on": f"{made.slicing.sentence} ({made.orientation}), {spacing} mm, tiles of "
        f"{config.tile[0]} × {config.tile[1]} pixels",
        "Architecture": config.words,
        "Settings that were not in the weights": card.get("assumed", ""),
        "History": card.get("history", ""),
        "Licence": card.get("licence", ""),
        "Written by": f"MHVAE Studio {bundle.program}",
        "Earlier names": ", ".join(str(was.get("name")) for was in card.get("renamed_from", [])),
        "Intended use": bundle.intended_use,
    }
    return {label: value for label, value in found.items() if value}


def _training(card: Mapping[str, Any]) -> str:
    training, data = card.get("training", {}), card.get("data", {})
    if not training:
        return ""
    plan = training.get("plan", {})
    cases = data.get("training_cases", "?")
    return (
        f"{cases} cases of this user's cohort (fingerprint {data.get('fingerprint', '?')}), preset "
        f"{plan.get('preset', '?')}, {training.get('step', '?')} steps"
    )


def model_card(bundle: Bundle, files: Mapping[str, str]) -> str:
    """Return ``README.md`` of a folder that holds a model.

    Args:
        bundle: the model.
        files: file name → what it is.
    """
    head = [
        "---",
        f"license: {'cc-by-4.0' if 'CC BY' in str(bundle.card.get('licence', '')) else 'other'}",
        "library_name: mhvae-studio",
        "pipeline_tag: image-to-image",
        "tags:",
        *(f"- {tag}" for tag in TAGS),
        "inference: false",
        "---",
        "",
    ]
    body = [f"# {_plain(bundle.name)}", "", f"**{_plain(bundle.intended_use)}**", ""]
    for label, value in model_facts(bundle).items():
        body += [f"## {label}", ""]
        if isinstance(value, Mapping):
            body += ["| | |", "|---|---|"]
            body += [f"| {_cell(k)} | {_cell(v)} |" for k, v in value.items()]
        else:
            body.append(_plain(str(value)))
        body.append("")
    body += ["## Files", "", "| file | what it is |", "|---|---|"]
    body += [f"| `{name}` | {_cell(what)} |" for name, what in files.items()]
    body += [
        "",
        "## Use",
        "",
        "```",
        f"mhvae-studio synthesize --model {next(iter(files), 'MODEL')} --input "
        f"{bundle.config.modalities[-1]}=scan.nii.gz --out results",
        "```",
        "",
        "Outputs are synthetic images. No network connection is opened; the file holds no code.",
        "",
    ]
    return "\n".join([*head, *body])


def _plain(text: str) -> str:
    """Return a text as Markdown shows it: what comes from a file may not mark anything up."""
    for sign in ("\\", "`", "*", "_", "[", "]", "<", "#", "|"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return _plain("; ".join(f"{k}: {v}" for k, v in value.items()))
    return _plain(str(value))
