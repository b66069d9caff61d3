"""``mhvae-studio ablation``: the trainer's command under the program's name."""

from trainer.commands.ablation import add_arguments, run

__all__ = ["add_arguments", "run"]
