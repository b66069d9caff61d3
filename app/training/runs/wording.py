"""How a run's state, time and numbers are said to people."""

from __future__ import annotations

import time

from trainer.run.state import GONE, RunInfo

STATES = {
    "running": "Training",
    "waiting": "Preparing",
    "finished": "Finished",
    "paused": "Paused",
    "terminated": "Stopped by the system",
    "failed": "Crashed",
    "interrupted": "Crashed",
    "new": "Not started",
    "discarded": "Discarded",
}
COLOURS = {
    "running": "#4aa564",
    "waiting": "#3b8ad8",
    "finished": "#8a8f98",
    "paused": "#e0902f",
    "terminated": "#e0902f",
    "failed": "#c9564c",
    "interrupted": "#c9564c",
    "new": "#8a8f98",
}
"""Of a state's dot; readable on light and dark."""


def state_word(info: RunInfo) -> str:
    """Return a run's state in a word or two."""
    return STATES.get(info.state, info.state)


def duration(seconds: float) -> str:
    """Return a time in the two largest units that matter: ``"2 h 10 min"``."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min" if minutes >= 10 else f"{minutes} min {seconds % 60} s"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def time_left(began: float, done: int, total: int) -> str:
    """Return ``", 3 min left"`` from the pace so far; empty while that says nothing.

    Args:
        began: when the work began, on the monotonic clock, s.
        done: how much is done.
        total: of how much.
    """
    spent = time.monotonic() - began
    if done <= 0 or done >= total or spent < 2:
        return ""
    return f", {duration(spent / done * (total - done))} left"


def number(value: float) -> str:
    """Return a curve's value with the digits that matter."""
    if value != value:
        return "–"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.3g}"
    return f"{value:.4g}"


def state_sentence(info: RunInfo) -> str:
    """Say what a run is doing, or why it stopped."""
    done = f"step {info.step:,} ({info.part:.0%})".replace(",", " ")
    if info.state == "running":
        left = info.seconds_left
        rest = f", {duration(left)} left" if left is not None else ""
        return f"Training: {done}{rest}."
    if info.state == "waiting":
        return "Its process is starting, or preparing the cases."
    if info.state == "finished":
        return f"Finished at {done}."
    if info.state == "paused":
        return f"Paused at {done}. Resume continues exactly there."
    if info.state == "terminated":
        return f"Stopped at {done}: the system, or Ctrl+C, asked its process to end. Resume it."
    if info.state == "interrupted":
        return f"{GONE} Resume continues from its last checkpoint."
    if info.state == "failed":
        return f"Crashed at {done}: {info.reason}"
    return "Not started yet."
