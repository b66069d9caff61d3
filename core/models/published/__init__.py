"""Import of the checkpoints the paper's authors publish."""
