"""``mhvae-studio evaluate``: the trainer's command under the program's name."""

from trainer.commands.evaluate import add_arguments, run

__all__ = ["add_arguments", "run"]
