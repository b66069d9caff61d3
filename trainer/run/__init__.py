"""The folder of a run: events, lock, control, state."""
