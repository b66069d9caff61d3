"""The plan's schema, and what became of plans that older versions wrote.

A run goes on as it began: what a newer version does by default is turned off in an older plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.errors import TrainerError

SCHEMA = 3
_AS_BEFORE: dict[int, dict[str, dict[str, Any]]] = {
    1: {
        "data": {"even_cases": False, "whole_pixel": 0.0},
        "loss": {"gan_norm": "instance"},
    },
    2: {
        "data": {"by_content": False},
        "loss": {"known_only": False},
        "optimiser": {"diverge": 0.0},
    },
}
"""Schema → section → the settings it did not have, at the values that change nothing."""


def migrated(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a plan's values in this version's schema.

    Raises:
        TrainerError: another version's plan that this one cannot read.
    """
    schema = values.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise TrainerError(
            f"{where} has plan schema {schema!r}; this version reads 1 to {SCHEMA}. Update the "
            "program, or begin a new plan."
        )
    found = {name: value for name, value in values.items() if name != "schema"}
    for old in range(schema, SCHEMA):
        for section, settings in _AS_BEFORE[old].items():
            given = found.get(section, {})
            if isinstance(given, Mapping):
                found[section] = {**settings, **given}
    return found
