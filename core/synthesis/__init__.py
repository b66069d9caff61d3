"""From a case and a request to blended synthetic volumes."""

__all__ = [
    "backends",
    "devices",
    "input_check",
    "input_warning",
    "overview",
    "request",
    "score",
    "synthesize",
    "virtual_sweep",
]
