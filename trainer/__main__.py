"""``python -m trainer``: the trainer's commands without the program's; ``train`` by default."""

from __future__ import annotations

import argparse
import importlib
import sys

from core.errors import UserError

COMMANDS = ("train", "check", "estimate", "evaluate", "runs", "ablation", "table1")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status (2 for an error the user can put right)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words.pop(0) if words and words[0] in COMMANDS else "train"
    module = importlib.import_module(f"trainer.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m trainer {name}", description=module.__doc__)
    module.add_arguments(parser)
    try:
        return int(module.run(parser.parse_args(words)))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
