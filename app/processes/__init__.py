"""The only room of the window that starts threads and processes."""

__all__ = ["client", "engine", "engine_job", "jobs", "progress", "protocol", "shared_memory"]
