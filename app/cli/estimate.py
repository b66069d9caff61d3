"""``mhvae-studio estimate``: the trainer's command under the program's name."""

from trainer.commands.estimate import add_arguments, run

__all__ = ["add_arguments", "run"]
