"""Training of models; no Qt."""

__all__ = ["cohort", "commands", "errors", "evaluation", "loop", "plan", "run"]
