"""From a case and a request to blended synthetic volumes."""

__all__ = [
    "backends",
    "devices",
    "fastest",
    "input_check",
    "input_warning",
    "open_engine",
    "overview",
    "request",
    "score",
    "synthesize",
    "virtual_sweep",
]
