"""From a case and a request to blended synthetic volumes."""

__all__ = [
    "backends",
    "devices",
    "overview",
    "request",
    "score",
    "synthesize",
    "virtual_sweep",
]
