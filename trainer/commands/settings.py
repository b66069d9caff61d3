"""Options of several commands: ``--set NAME=VALUE``, ``--settings``, which explains every name, and
``--lpips-weights``.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.schema import Setting
from trainer.errors import TrainerError
from trainer.plan.schema import SETTINGS


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare both options."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting of the plan, for example data.batch=4",
    )
    parser.add_argument(
        "--settings", action=_Explain, nargs=0, help="explain every setting of --set and stop"
    )


def add_lpips_weights(parser: argparse.ArgumentParser) -> None:
    """Declare where LPIPS takes its weights from."""
    parser.add_argument(
        "--lpips-weights",
        "--weights",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="local weights of LPIPS, in one file or two (give it twice): backbone and heads",
    )


def setting(text: str) -> tuple[str, Any]:
    """Read ``name=value``; the value is JSON, or else a word.

    Raises:
        TrainerError: there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise TrainerError(f"A setting is written NAME=VALUE; found {text!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def explained(one: Setting) -> str:
    """Return what a setting is, may be and means, over a few lines."""
    default = json.dumps(one.default, ensure_ascii=False)
    unit = f" [{one.unit}]" if one.unit else ""
    paper = f" Paper: {one.paper}." if one.label else ""
    about = textwrap.fill(one.about + paper, 96, initial_indent="    ", subsequent_indent="    ")
    return f"{one.name}={default}{unit}: {one.expected}\n{about}"


class _Explain(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        print("\n".join(explained(one) for one in SETTINGS.values()))
        parser.exit()
