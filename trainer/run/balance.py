"""Whether generator and discriminators of a run still learn from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WON = 0.9
"""Real minus fake score from which a discriminator is no longer fooled at all."""
WON_LINES = 50
"""Log lines in a row of that after which the run warns."""
LEADS = 0.7
"""From here on it is fooled rarely."""
LOST = 0.05
"""Below, it does not tell them apart."""
RECENT = 10
"""Log lines the light looks at."""


@dataclass(frozen=True)
class Balance:
    """One light.

    Attributes:
        light: ``"off"``, ``"green"``, ``"yellow"`` or ``"red"``.
        reason: one sentence.
    """

    light: str
    reason: str


def assess_balance(modality: str, real: Sequence[float], fake: Sequence[float]) -> Balance:
    """Judge one modality by the scores its discriminator gave lately, 1 meaning real.

    Args:
        modality: for the sentence.
        real, fake: mean scores of real and synthetic images per log line, oldest first.
    """
    gaps = [r - f for r, f in zip(real, fake, strict=True)]
    if not gaps:
        return Balance("off", f"{modality}: the adversarial term has not begun.")
    recent = gaps[-RECENT:]
    gap = sum(recent) / len(recent)
    told = f"{modality}: real images score {gap:.2f} above synthetic ones"
    if len(gaps) >= WON_LINES and min(gaps[-WON_LINES:]) > WON:
        return Balance("red", f"{told} for long: the discriminator has won, and its generator "
                       "learns little from it. A lower optimiser.gan_rate helps.")  # fmt: skip
    if gap > LEADS:
        return Balance("yellow", f"{told}: the discriminator is ahead.")
    if gap < LOST:
        return Balance("yellow", f"{told}: the discriminator cannot tell them apart yet, so it "
                       "shows the generator no direction.")  # fmt: skip
    return Balance("green", f"{told}: both learn.")


def overall(balances: Sequence[Balance]) -> Balance:
    """Return the worst light with every reason."""
    order = ("red", "yellow", "green", "off")
    if not balances:
        return Balance("off", "This run has no adversarial term.")
    worst = min(balances, key=lambda b: order.index(b.light))
    return Balance(worst.light, " ".join(b.reason for b in balances))
