"""``mhvae-studio table1``: the trainer's command under the program's name."""

from trainer.commands.table1 import add_arguments, run

__all__ = ["add_arguments", "run"]
