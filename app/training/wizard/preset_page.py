"""Fifth step: how large a model, how long, and whether it begins from another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
)

from app.shared.style import make_bold, say
from app.training.wizard.draft import Draft
from app.training.wizard.fields import summary
from app.training.wizard.page import MessageLabel, Page, WizardContext
from app.training.wizard.plan_tree import PlanTree, check
from core.errors import UserError
from core.models.bundle import Bundle
from trainer.plan.families import with_family, with_modalities
from trainer.plan.fine_tune import begin_from
from trainer.plan.presets import preset
from trainer.plan.schema import Plan

PRESETS = ("smoke", "quick", "paper")
WORDS = {
    "smoke": "Smoke: to see that everything works; the pictures are poor",
    "quick": "Quick: a night on this computer",
    "paper": "Paper: as in the paper; needs a GPU",
}


class PresetPage(Page):
    """Chooses a preset, and lets every setting be changed."""

    title_text = "Preset"
    about = "A preset decides everything; any setting below may be changed, which makes it custom."

    def __init__(self, context: WizardContext) -> None:
        super().__init__(context)
        self._job = 0
        self.buttons = QButtonGroup(self)
        self.radios: dict[str, QRadioButton] = {}
        for number, name in enumerate((*PRESETS, "custom")):
            radio = QRadioButton(WORDS.get(name, "Custom: change settings below"))
            self.buttons.addButton(radio, number)
            self.radios[name] = radio
        self.tune = QCheckBox("Fine-tune a model")
        self.tune.setToolTip(
            "Begin a new run with a model's weights; its architecture and preprocessing are taken"
        )
        self.models = QComboBox()
        self.browse = QPushButton("Other model…")
        self.about_model = QLabel()
        self.about_model.setWordWrap(True)
        say(self.about_model, "hint", True)
        self.tree = PlanTree()
        self.sentence = MessageLabel()
        self.shown = QLabel()
        self.shown.setWordWrap(True)
        make_bold(self.shown)
        left = QVBoxLayout()
        for radio in self.radios.values():
            left.addWidget(radio)
        row = QHBoxLayout()
        row.addWidget(self.tune)
        row.addWidget(self.models, 1)
        row.addWidget(self.browse)
        column = QVBoxLayout(self)
        column.addLayout(left)
        column.addLayout(row)
        column.addWidget(self.about_model)
        column.addWidget(self.shown)
        column.addWidget(self.tree, 1)
        column.addWidget(self.sentence)
        self.buttons.idClicked.connect(self._chosen)
        self.tune.clicked.connect(lambda _: self._tuned())
        self.models.activated.connect(lambda _: self._tuned())
        self.browse.clicked.connect(self._ask_model)
        self.tree.edited.connect(self._edited)
        self.tree.refused.connect(lambda text: self.sentence.show_message(text, bad=True))

    def enter(self) -> None:
        """Show the plan; look for models the first time."""
        self._take(_with_modalities(self.draft.plan, self.draft.modalities))
        if not self.models.count():
            self.context.jobs.drop(self._job)
            self._job = self.context.jobs.submit(
                "Looking for models", _models, self._models_found, self._no_models
            )

    def leave(self) -> None:
        """Forget a search under way."""
        self.context.jobs.drop(self._job)

    def isComplete(self) -> bool:
        """Tell whether the plan can be used."""
        return not self._problem()

    # ---- choices

    def base(self) -> Plan:
        """Return the preset the plan began as, with what other steps decided."""
        return begun(self.draft.plan.preset, self.draft)

    def _chosen(self, number: int) -> None:
        if number == len(PRESETS):
            self.draft.custom = True
            self._show()
            self.tree.setFocus()
            self.draft_changed()
            return
        self.draft.custom = False
        self._take(begun(PRESETS[number], self.draft))
        self.draft_changed()

    def _edited(self, plan: Plan) -> None:
        self.draft.custom = True
        self._take(plan)
        self.draft_changed()

    def _tuned(self) -> None:
        if not self.tune.isChecked():
            self.draft.plan = replace(self.draft.plan, start_from="", grow=False)
            self._take(begun(self.draft.plan.preset, self.draft))
        else:
            bundle = self.models.currentData()
            if isinstance(bundle, Bundle):
                self._take(begin_from(self.draft.plan, bundle))
        self.draft_changed()

    def _ask_model(self) -> None:
        found, _ = QFileDialog.getOpenFileName(
            self, "Model to fine-tune", "", "Models (*.safetensors)"
        )
        if found:
            self.begin_with(Path(found))

    def begin_with(self, path: Path) -> None:
        """Fine-tune the model in a file."""

        def work() -> Bundle:
            from core.models.bundle import header

            return header(path)

        def read(bundle: Bundle) -> None:
            self._add(bundle)
            self.tune.setChecked(True)
            self._tuned()

        self._job = self.context.jobs.submit(
            f"Reading {path.name}",
            work,
            read,
            lambda text: self.sentence.show_message(text, bad=True),
        )

    # ---- inside

    def _take(self, plan: Plan) -> None:
        self.draft.plan = plan
        self._show()

    def _show(self) -> None:
        plan, draft = self.draft.plan, self.draft
        self.radios["custom" if draft.custom else plan.preset].setChecked(True)
        begun = f" (began as {plan.preset})" if draft.custom else ""
        text = summary(plan)
        self.shown.setText(f"{text[0].upper()}{text[1:]}{begun}.")
        self.tree.fill(plan, self.base())
        self.tune.setChecked(bool(plan.start_from))
        self.models.setEnabled(self.tune.isChecked())
        bundle = self.models.currentData()
        known = isinstance(bundle, Bundle) and self.tune.isChecked()
        self.about_model.setText(str(bundle.card.get("summary", "")) if known else "")
        self.about_model.setVisible(bool(self.about_model.text()))
        self.sentence.show_message(self._problem(), bad=True)

    def _problem(self) -> str:
        plan = self.draft.plan
        if plan.start_from and set(plan.model.modalities) != set(self.draft.modalities):
            return (
                f"The model knows {', '.join(plan.model.modalities)}; the cohort has "
                f"{', '.join(self.draft.modalities)}. Choose another model, or go back and name "
                "the model's modalities."
            )
        if plan.start_from and not Path(plan.start_from).is_file():
            return f"{Path(plan.start_from).name} is not there any more; choose another model."
        try:
            check(plan)
        except UserError as error:
            return str(error)
        return ""

    def _models_found(self, bundles: list[Bundle]) -> None:
        for bundle in bundles:
            self._add(bundle)
        start = self.draft.plan.start_from
        if start:
            place = self.models.findText(Path(start).name, Qt.MatchFlag.MatchContains)
            if place >= 0:
                self.models.setCurrentIndex(place)
                self._tuned()
                return
            elif Path(start).is_file():
                self.begin_with(Path(start))
        else:
            self.models.setCurrentIndex(0)
        self._show()

    def _no_models(self, sentence: str) -> None:
        self.sentence.show_message(sentence, bad=True)

    def _add(self, bundle: Bundle) -> None:
        self.models.addItem(
            f"{bundle.name}   ({bundle.path.name})" if bundle.path else bundle.name, bundle
        )
        self.models.setCurrentIndex(self.models.count() - 1)


def begun(name: str, draft: Draft) -> Plan:
    """Return a preset with the modalities, split and model that other choices decided."""
    old = draft.plan
    plan = _with_modalities(preset(name), draft.modalities)
    if old.family != plan.family and not old.start_from:
        plan = with_family(plan, old.family)
    split = {n: getattr(old.data, n) for n in ("validation", "test", "split_seed")}
    plan = replace(plan, data=replace(plan.data, **split))
    if old.start_from:
        taken = ("spacing", "plane", "orientation", "percentiles")
        used = {n: getattr(old.data, n) for n in taken}
        plan = replace(
            plan,
            start_from=old.start_from,
            model=old.model,
            family=old.family,
            data=replace(plan.data, **used),
        )
    return plan


def _with_modalities(plan: Plan, modalities: tuple[str, ...]) -> Plan:
    if plan.start_from or plan.model.modalities == modalities:
        return plan
    return with_modalities(plan, modalities)


def _models() -> list[Bundle]:
    from core.models.bundle import available

    return available()
