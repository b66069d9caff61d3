"""Training of models; no Qt."""

__all__ = ["api", "cohort", "commands", "errors", "evaluation", "loop", "plan", "run"]
