"""Opening, importing, saving, projects."""

__all__ = ["controller", "opener"]
