"""Bringing one volume onto another: panel, tools, commands."""
