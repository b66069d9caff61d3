"""What runs inside the engine process."""

__all__ = ["__main__"]
