"""The desktop program and the command line."""

__all__ = ["cli", "processes", "shell"]
