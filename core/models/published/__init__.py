"""Import of the checkpoints the paper's authors publish."""

__all__ = ["checkpoint"]
