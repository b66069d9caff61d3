"""The commands that belong to no room: Edit, the appearance, Help."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.shared.commands import Command
from app.shared.context import Context
from app.shell.help import Help
from app.state.undo import EditAvailable, RemoveLayers
from app.state.values import Kind


def edit_commands(context: Context) -> list[Command]:
    """Return the commands of the menu Edit."""
    session, undo, menu = context.session, context.undo, "Edit"

    def remove() -> None:
        if session.active is not None:
            remove_layer(context, session.active.id)

    def toggle() -> None:
        if session.active is not None:
            toggle_available(context, session.active.id)

    def real() -> bool:
        active = session.active
        return active is not None and active.kind is Kind.REAL and bool(active.modality)

    def used() -> bool:
        active = session.active
        return real() and active is not None and active.available

    def step(verb: str, text: Callable[[], str]) -> Callable[[], str]:
        return lambda: f"{verb} “{text()}”" if text() else verb

    return [
        Command("undo", "Undo", menu, menu, undo.undo, ("Ctrl+Z",), enabled=undo.canUndo,
                says=step("Undo", undo.undoText)),
        Command("redo", "Redo", menu, menu, undo.redo, ("Ctrl+Shift+Z", "Ctrl+Y"),
                enabled=undo.canRedo, says=step("Redo", undo.redoText)),
        Command("toggle_available", "Use the active volume as input", menu, menu, toggle, ("J",),
                "Without it, it is synthesised from the other volumes and compared",
                separated=True, enabled=real, checked=used),
        Command("remove", "Remove the active volume", menu, menu, remove, ("Del",),
                enabled=lambda: session.active is not None),
    ]  # fmt: skip


def appearance_commands(context: Context, look: Callable[[str], None]) -> list[Command]:
    """Return the choice between light and dark; ``look`` puts it on."""
    settings = context.settings

    def choose(name: str) -> None:
        settings.appearance = name
        look(name)

    return [
        Command(f"look_{name}", text, "Appearance", "View/Appearance", partial(choose, name),
                checked=partial(lambda n: settings.appearance == n, name))
        for name, text in (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))
    ]  # fmt: skip


def help_commands(it: Help) -> list[Command]:
    """Return the commands of the menu Help."""
    menu = "Help"
    return [
        Command("guide", "User guide", menu, menu, it.show_guide, ("F1",)),
        Command("keys", "Keys and mouse", menu, menu, it.show_keys, ("?",)),
        Command("report", "Diagnostic report…", menu, menu, it.show_report,
                tip="Versions, settings and messages without names, to send to those who help"),
        Command("about", "About MHVAE Studio", menu, menu, it.show_about),
    ]  # fmt: skip


def remove_layer(context: Context, layer_id: str) -> None:
    """Take a volume out of the case; one that is still being made goes with its run."""
    layer = context.session.layer(layer_id)
    if not layer.live:
        context.undo.push(RemoveLayers(context.session, [layer_id], f"Remove {layer.name}"))


def toggle_available(context: Context, layer_id: str) -> None:
    """Hold a volume back from the model, or give it again."""
    layer = context.session.layer(layer_id)
    context.undo.push(EditAvailable(context.session, layer_id, not layer.available))
