"""A model of another family in the window: what it lacks is greyed, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QTreeWidgetItem
from pytestqt.qtbot import QtBot
from shell_stage import open_files, put, ran, staged

from app.shell.window import MainWindow
from app.synthesis.cost import Estimate
from app.synthesis.panel import describe
from app.training.wizard.plan_tree import PlanTree
from core.models.base.config import ModelConfig
from core.models.bundle import Bundle
from core.models.mhvae.config import MHVAEConfig
from core.models.pix2pix.config import Pix2PixConfig
from core.models.resvit.config import ResViTConfig
from core.models.weights import build, save
from trainer.plan.families import with_family, without_effect
from trainer.plan.presets import preset
from trainer.plan.schema import settings_for

pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def use(window: MainWindow, config: ModelConfig) -> None:
    window.context.session.synthesis.use_model(Bundle(config, name="other", path=Path("ok")))


def test_a_model_of_one_direction_greys_what_it_cannot_make(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    asked, panel = window.context.session.synthesis, window.panels.synthesis
    asked.set_form(samples=4)
    assert panel.temperature.value() == 1
    use(window, Pix2PixConfig())
    assert (asked.form.samples, asked.form.temperature) == (1, 0)
    assert panel.image.currentText() == "The one image"
    for box in (panel.image, panel.samples, panel.temperature, panel.seed):
        assert not box.isEnabled()
        assert "makes one image of an input" in box.toolTip()
    asked.set_form(samples=4, temperature=0.5)  # a project written for another model
    assert (asked.form.samples, asked.form.temperature) == (1, 0)
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    assert asked.targets() == ("iUS",)
    boxes = {box.text(): box for box in panel._boxes}
    assert not boxes["T2"].isEnabled()
    assert "makes iUS from T2 and nothing else" in boxes["T2"].toolTip()
    window.synthesis.run()
    ran(qtbot, window)
    assert window.context.session.results.all
    use(window, Pix2PixConfig(target="T2"))
    assert asked.targets() == ()
    assert not panel.button.isEnabled()
    assert "makes T2 from iUS and nothing else" in panel.button.toolTip()
    assert "Give it iUS alone" in panel.button.toolTip()
    open_files(qtbot, window, put(tmp_path, "iUS.nii.gz"))
    assert asked.subset() == ("iUS", "T2")
    assert asked.obstacle().endswith("Untick Input of T2 to synthesise it from the others.")
    use(window, ResViTConfig())
    assert asked.obstacle().endswith("or tick an output.")
    use(window, MHVAEConfig())
    assert panel.image.itemText(0) == "Expected image"


def test_the_experts_panel_says_that_there_are_none(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    use(window, ResViTConfig())
    panel = window.panels.experts
    panel._show()
    assert "resvit model, which fuses no experts" in panel.hint.text()
    boxes = {box.text(): box for box in window.panels.synthesis._boxes}
    assert boxes["T2"].isEnabled()  # it serves every subset


def test_a_model_that_was_dropped_has_its_own_card(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    config = Pix2PixConfig(tile=(32, 32), base_features=4, pools=3)
    path = tmp_path / "dropped.safetensors"
    save(Bundle(config, name="dropped"), build(config), path)
    window.files.opener.open([path])
    asked = window.context.session.synthesis
    qtbot.waitUntil(lambda: asked.bundle is not None and asked.bundle.name == "dropped")
    window.training.show_card("dropped")
    models = window.training._models
    assert models is not None
    qtbot.waitUntil(lambda: not models.jobs.busy and models.bundle is not None, timeout=10_000)
    assert models.bundle is not None
    assert models.bundle.path == path
    assert "pix2pix" in models.card.toPlainText().lower()
    assert asked.bundle is not None
    assert asked.bundle.path == path
    window.training.show_card("gone")
    assert "gone is not among the models any more" in window.context.messages.history[-1].sentence


def test_a_time_that_is_the_same_at_most_and_at_least_is_said_once() -> None:
    def said(low: float, high: float) -> str:
        return describe(Estimate(56, (low, high), (300, 400), "cpu"))

    assert said(0.7, 1.2) == "56 tiles on CPU: 1 s, about 0.4 GB of memory."
    assert ": 4 s to 8 s, about" in said(4, 8)


def items(tree: PlanTree) -> dict[str, QTreeWidgetItem]:
    return tree._items


@pytest.mark.parametrize(
    ("family", "heeded", "idle"),
    [
        ("mhvae", ("beta", "subset_odds", "subsets"), ("transformers_start",)),
        ("spade", ("l1", "feature_matching"), ("beta", "mean_path", "subsets", "expert_dropout",
                                               "transformers_start")),
        ("resvit", ("transformers_start", "subsets"), ("beta", "subset_odds", "mean_path_first")),
    ],
)  # fmt: skip
def test_the_wizard_lists_no_setting_that_a_family_does_not_heed(
    qtbot: QtBot, family: str, heeded: tuple[str, ...], idle: tuple[str, ...]
) -> None:
    tree = PlanTree()
    qtbot.addWidget(tree)
    plan = with_family(preset("quick", "somewhere"), family)
    tree.fill(plan, plan)
    assert {f"loss.{name}" for name in heeded} <= set(items(tree))
    assert not {f"loss.{name}" for name in idle} & set(items(tree))
    assert without_effect(family) <= set(settings_for(family))


def test_the_wizard_trains_any_family(qtbot: QtBot) -> None:
    tree = PlanTree()
    qtbot.addWidget(tree)
    plan = preset("quick", "somewhere")
    tree.fill(plan, plan)
    assert "model.fusion" in items(tree)
    with qtbot.waitSignal(tree.edited):
        tree.set_value("family", "spade")
    assert (tree.plan.family, tree.plan.model.family) == ("spade", "spade")
    assert "model.hidden" in items(tree)
    assert "model.fusion" not in items(tree)
    assert not items(tree)["model.hidden"].font(1).bold()  # the preset's own for this family
    with qtbot.waitSignal(tree.edited):
        tree.set_value("model.hidden", "48")
    assert items(tree)["model.hidden"].font(1).bold()
    refused: list[str] = []
    tree.refused.connect(refused.append)
    tree.set_value("model.target", "FLAIR")
    assert "found the target FLAIR" in refused[-1]
    with qtbot.waitSignal(tree.edited):
        tree.set_value("family", "mhvae")
    assert tree.plan == plan
