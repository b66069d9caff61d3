"""``mhvae-studio runs``: the trainer's command under the program's name."""

from trainer.commands.runs import add_arguments, run

__all__ = ["add_arguments", "run"]
