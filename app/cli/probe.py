"""``mhvae-studio probe``: the trainer's command under the program's name."""

from trainer.commands.probe import add_arguments, run

__all__ = ["add_arguments", "run"]
