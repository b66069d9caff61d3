"""What every room of the window shares: the context, commands, style, wording."""

__all__ = ["commands", "context", "drops", "elided", "lines", "palette", "style", "wording"]
