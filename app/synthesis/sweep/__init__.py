"""A virtual ultrasound probe: placed in the viewers, seen as a live fan, swept and exported."""

__all__ = ["commands", "controller", "panel"]
