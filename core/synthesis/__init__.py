"""From a case and a request to blended synthetic volumes."""

__all__ = [
    "backends",
    "brain_surface",
    "devices",
    "overview",
    "request",
    "score",
    "sweep_export",
    "sweep_field",
    "sweep_plan",
    "synthesize",
    "virtual_sweep",
]
