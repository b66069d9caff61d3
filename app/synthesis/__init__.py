"""Running the model on the case: panel, results, experts."""

__all__ = ["controller", "experts_panel", "panel", "results_panel", "sweep"]
