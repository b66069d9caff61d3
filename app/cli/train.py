"""``mhvae-studio train``: the trainer's command under the program's name."""

from trainer.commands.train import add_arguments, run

__all__ = ["add_arguments", "run"]
