"""The trainer's sub-commands: each module declares its options and runs."""

__all__ = ["ablation", "check", "estimate", "evaluate", "runs", "table1", "train"]
