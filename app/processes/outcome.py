"""How a child process ended, in a word for the program and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a child process ended.

    Attributes:
        status: ``"finished"``, ``"killed"`` (by the system or by us), ``"crashed"`` or
            ``"not started"``.
        code: exit code, or the number of the signal.
        error_lines: the last lines the child wrote to its error output.
    """

    status: str
    code: int
    error_lines: tuple[str, ...] = ()

    def sentence(self, what: str) -> str:
        """Say for people what happened to ``what``."""
        if self.status == "finished":
            return f"{what} ended."
        if self.status == "not started":
            return f"{what} could not be started. The installation is damaged; install it again."
        if self.status == "killed":
            return f"{what} was stopped by the system, most likely because memory ran out."
        words = f" It last said: {self.error_lines[-1]}" if self.error_lines else ""
        return f"{what} crashed (code {self.code}).{words}"
