"""The engine: volumes, models and synthesis; works with no screen and no Qt."""

__all__ = [
    "api",
    "assets",
    "case",
    "child_process",
    "errors",
    "files",
    "grid",
    "image",
    "io",
    "models",
    "pages",
    "registration",
    "schema",
    "simulator",
    "synthesis",
    "tables",
    "torch_build",
    "version",
    "volume",
]
