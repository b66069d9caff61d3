"""The window around the rooms."""

__all__ = ["window"]
