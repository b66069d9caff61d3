"""What a user can do wrong when training, as one exception type."""

from __future__ import annotations

from core.errors import UserError


class TrainerError(UserError):
    """A cohort, plan or run folder that cannot be used; the message says what to do."""
