"""The numbers of a step for the log.

They are parts: of rows, of micro-batches, of processes, and add up. What is to be a mean over rows
that not all steps have alike, because a case lacks a modality, brings its share of rows along.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Terms = dict[str, float]
EXPECTED = ".expected"
"""Ends the name of a comparison with the expected echo; a modality's name holds no dot."""
SHARE = "share of "
"""Begins the name of the part of the batch that a term is the sum over."""


def add(terms: Terms, name: str, value: float, share: float | None = None) -> None:
    """Add to a term, and to the share of the batch it speaks of, if it is a mean over rows."""
    terms[name] = terms.get(name, 0.0) + value
    if share is not None:
        terms[SHARE + name] = terms.get(SHARE + name, 0.0) + share


def add_all(terms: Terms, more: Terms) -> None:
    """Add other parts of the same step."""
    for name, value in more.items():
        add(terms, name, value)


def means(steps: Sequence[Terms]) -> Terms:
    """Return each term's mean over the steps that have it, or over their rows, by name."""
    found: Terms = {}
    for name in sorted({n for terms in steps for n in terms if not n.startswith(SHARE)}):
        values = [terms[name] for terms in steps if name in terms]
        share = sum(terms.get(SHARE + name, 0.0) for terms in steps)
        found[name] = sum(values) / share if share > 0 else float(np.mean(values))
    return found
