"""What kind of image is made: chosen by name, and by the model until the user chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from shell_stage import model, staged

from app.shell.window import MainWindow


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def test_the_kinds_set_temperature_and_samples(window: MainWindow) -> None:
    asked, panel = window.context.session.synthesis, window.panels.synthesis
    assert panel.image.currentIndex() == 0
    wanted = ((1, 1.0, 1), (2, 1.0, 8), (1, 1.0, 1), (0, 0.0, 1))
    for kind, temperature, samples in wanted:
        panel.image.setCurrentIndex(kind)
        panel.image.activated.emit(kind)
        assert (asked.form.temperature, asked.form.samples) == (temperature, samples)
        assert panel.image.currentIndex() == kind
    asked.set_form(samples=3)
    assert panel.image.currentText() == "Mean and σ"
    panel.image.activated.emit(2)
    assert asked.form.samples == 8
    asked.set_form(samples=20)
    panel.image.activated.emit(2)
    assert asked.form.samples == 20


def test_a_chosen_model_brings_its_temperature(window: MainWindow) -> None:
    asked = window.context.session.synthesis
    plain = asked.models[0]
    drawn = replace(model("ok"), name="drawn", path=Path("drawn.safetensors"), temperature=0.7)
    asked.use_model(drawn)
    assert asked.form.temperature == 0.7
    asked.set_form(model=str(plain.path))
    assert asked.form.temperature == 0
    asked.set_form(temperature=0.3)
    asked.set_models(asked.models)  # what the user chose stays while the model does
    assert asked.form.temperature == 0.3
    asked.set_form(model=str(drawn.path))
    assert asked.form.temperature == 0.7
