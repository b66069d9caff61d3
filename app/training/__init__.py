"""Training in the window: the wizard, the runs, the models."""

__all__ = ["controller"]
