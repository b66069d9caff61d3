"""The command line: ``mhvae-studio [FILES…]`` opens the window, sub-commands run headless.

Every sub-command lives in a module of its own and is imported only when it runs, so ``--help``
answers at once and none of them pays for another's libraries.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from core.errors import Cancelled, UserError, WorkerLost, disk_sentence
from core.version import __version__

__all__ = ["main"]

COMMANDS = {
    "synthesize": "make the missing modality of a patient",
    "register": "bring one volume onto another",
    "reconstruct": "make a volume of a tracked sweep of 2-D ultrasound images",
    "sweep": "show what an ultrasound probe on the brain would see, by the model",
    "prepare": "align a cohort and bring it onto one grid, for training",
    "info": "say what a file, a series or a model holds; or what this computer offers",
    "import-weights": "turn a checkpoint of the paper's authors into a model",
    "simulate": "write simulated T2 and iUS cases",
    "check": "read every case of a cohort and list what would spoil a training",
    "estimate": "run a few steps of a plan and say what the whole run will take",
    "train": "train a model on a cohort, resume a run, or fine-tune a model",
    "evaluate": "score models on a cohort and write a report",
    "runs": "list training runs; ask one to pause, finish or stop",
    "ablation": "train and compare MVAE and MHVAE, without and with GAN",
    "table1": "train and compare Pix2Pix, SPADE, ResViT, U-Net, MVAE and MHVAE",
    "export": "write a model for others: its file, a card, ONNX",
    "self-test": "load the built-in model, synthesise a small volume, check it",
}

MEMORY = (
    "the system ended a part of the program, most likely for want of memory. Close other programs, "
    "or use fewer --workers."
)
DONE, OUR_FAULT, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage block."""

    def error(self, message: str) -> None:  # type: ignore[override]
        sys.stderr.write(f"{self.prog}: {message}. See {self.prog} --help.\n")
        raise SystemExit(WRONG_INPUT)


def overview() -> str:
    """Return the text of ``mhvae-studio --help``."""
    width = max(len(name) for name in COMMANDS)
    lines = [
        "usage: mhvae-studio [FILES...]            open the window, with these volumes",
        "       mhvae-studio COMMAND [OPTIONS]     run without a window",
        "",
        "T2 MRI and intra-operative ultrasound synthesis. Research use only.",
        "",
        "commands:",
        *(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()),
        "",
        "mhvae-studio COMMAND --help lists a command's options.",
        "Exit status: 0 done; 2 the input is wrong, or there is no room for the results;",
        "130 stopped; 1 no case of a cohort could be done, or a defect of the program.",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal may lack the letters of σ and “”
            stream.reconfigure(errors="replace")
    try:
        return _dispatch(arguments)
    except UserError as error:
        sys.stderr.write(f"mhvae-studio: {error}\n")
        return WRONG_INPUT
    except (Cancelled, KeyboardInterrupt):
        # Every file is moved into place whole; a cohort's finished cases are found again.
        sys.stderr.write("mhvae-studio: stopped; what is finished is kept, and no file is half.\n")
        return INTERRUPTED
    except WorkerLost:
        sys.stderr.write(f"mhvae-studio: {MEMORY} Finished cases are kept.\n")
        return OUR_FAULT
    except MemoryError:
        sys.stderr.write(f"mhvae-studio: {MEMORY}\n")
        return OUR_FAULT
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        sys.stderr.write(f"mhvae-studio: {disk_sentence(error)} What is finished is kept.\n")
        return WRONG_INPUT


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        print(overview())
        return DONE
    if first == "--version":
        print(f"mhvae-studio {__version__}")
        return DONE
    if first in COMMANDS:
        module = importlib.import_module(f"app.cli.{first.replace('-', '_')}")
        parser = _Parser(prog=f"mhvae-studio {first}", description=COMMANDS[first] + ".")
        module.add_arguments(parser)
        return int(module.run(parser.parse_args(arguments[1:])))
    if re.fullmatch(r"[A-Za-z][A-Za-z-]*", first) and not os.path.exists(first):
        near = difflib.get_close_matches(first.lower(), COMMANDS, 1, 0.5)
        meant = f" Did you mean {near[0]}?" if near else ""
        sys.stderr.write(
            f"mhvae-studio: there is neither a command nor a file called {first}.{meant} See "
            "mhvae-studio --help.\n"
        )
        return WRONG_INPUT
    if first.startswith("-"):
        sys.stderr.write(f"mhvae-studio: unknown option {first}. See mhvae-studio --help.\n")
        return WRONG_INPUT
    from app.shell.window import main as window

    return int(window(arguments))
