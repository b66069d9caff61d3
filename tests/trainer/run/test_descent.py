"""A training loss that goes astray is told from one that is only noisy."""

import pytest

from trainer.run.descent import WINDOW, Descent


def fed(*values: float | None) -> Descent:
    descent = Descent()
    for value in values:
        descent.add(value)
    return descent


def test_a_loss_that_stays_twice_its_start_has_diverged() -> None:
    start = [10.0, 12.0] * (WINDOW // 2)
    assert not fed(*start).diverged(2.0)
    assert not fed(*start, *[21.0] * WINDOW).diverged(2.0)
    told = fed(*start, *[33.0] * WINDOW).diverged(2.0)
    assert told == (
        "its loss (L1 and KL) was 33 over the last 20 steps, 3.0 times the 11 of the first 20"
    )
    assert not fed(*start, *[33.0] * WINDOW).diverged(0)  # turned off
    assert not fed(*start, *[9.0] * WINDOW, *[1e9] * 9).diverged(2.0)  # nine odd batches
    assert not fed(*[1.0] * 9, *[99.0] * 9).diverged(2.0)  # the start is not known yet


def test_every_second_step_without_gradients_is_no_training() -> None:
    start = [10.0] * WINDOW
    assert "of the last 20 steps 10 had no finite gradients" in (
        fed(*start, *[10.0, None] * (WINDOW // 2)).diverged(2.0)
    )
    assert not fed(*start, *[10.0, 10.0, None] * WINDOW).diverged(2.0)


def test_a_checkpoint_keeps_what_was_seen() -> None:
    first = fed(*[10.0] * WINDOW, *[50.0] * 15)
    again = Descent()
    again.restore(first.state())
    for _ in range(5):
        again.add(50.0)
    assert again.diverged(2.0) == fed(*[10.0] * WINDOW, *[50.0] * 20).diverged(2.0) != ""
    with pytest.raises(KeyError):
        Descent().restore({})
