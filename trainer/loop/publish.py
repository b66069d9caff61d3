"""Turn a run's model into one to ship: float16 weights and a card for people.

``python -m trainer.loop.publish RUN/model.safetensors NAME.safetensors --card card.json``

The card file holds what only people know: ``name``, ``summary``, ``trained_on``, ``limits``,
``licence``, measured ``metrics``. What the run recorded about data and plan is kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.models.bundle import INTENDED_USE, Bundle
from core.models.weights import load, save
from trainer.errors import TrainerError

REQUIRED = ("name", "summary", "trained_on", "limits", "licence", "metrics")


def publish(model: Path, out: Path, card: dict[str, object]) -> Bundle:
    """Write ``model`` to ``out`` in float16 under a new card.

    Raises:
        TrainerError: the card lacks a field a user must be told.
        ModelError: the model cannot be read, or ``out`` not written.
    """
    missing = [key for key in REQUIRED if not card.get(key)]
    if missing:
        raise TrainerError(
            f"The card must say {', '.join(missing)}; a model that ships tells its users what it "
            "was trained on, what was measured and where it ends."
        )
    bundle, network = load(model)
    told = {key: value for key, value in card.items() if key != "name"}
    described = replace(
        bundle,
        name=str(card["name"]),
        card={**bundle.card, **told},
        intended_use=INTENDED_USE,
    )
    return save(described, network, out, half=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m trainer.loop.publish", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--card", type=Path, required=True, help="JSON file; see above")
    args = parser.parse_args(argv)
    bundle = publish(args.model, args.out, json.loads(args.card.read_text("utf-8")))
    print(f"{args.out}: {bundle.name}, sha256 {bundle.sha256}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
