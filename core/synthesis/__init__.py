"""From a case and a request to blended synthetic volumes."""

__all__ = [
    "backends",
    "brain_surface",
    "devices",
    "fastest",
    "input_check",
    "input_warning",
    "open_engine",
    "overview",
    "request",
    "score",
    "sweep_export",
    "sweep_field",
    "sweep_plan",
    "synthesize",
    "view",
    "virtual_sweep",
]
