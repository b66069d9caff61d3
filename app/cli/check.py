"""``mhvae-studio check``: the trainer's command under the program's name."""

from trainer.commands.check import add_arguments, run

__all__ = ["add_arguments", "run"]
