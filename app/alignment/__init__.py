"""Bringing one volume onto another: panel, tools, commands."""

__all__ = ["commands", "controller", "panel"]
