"""What a user may send to those who help: versions, device, settings, messages, log; no names."""

from __future__ import annotations

import json
import locale
import os
import platform
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import qVersion
from PySide6.QtGui import QGuiApplication

from app.shared.context import Context
from app.shell.anonymize import anonymize
from app.shell.log import last_lines
from app.state.messages import Note
from core.child_process import packaged
from core.torch_build import torch_build
from core.version import __version__

MESSAGES = 60
LOG_LINES = 40
FORM = ("batch", "device", "samples", "temperature")
"""Choices of the Synthesis panel that say nothing about files."""


def diagnostics(context: Context, file_names: Iterable[str] = ()) -> str:
    """Return the report about a window, ready to be shown and saved.

    Args:
        context: the window's state.
        file_names: names and paths that are taken out besides those the state holds.
    """
    session = context.session
    modalities = {m for b in session.synthesis.models for m in b.config.modalities}
    private = [str(path) for path in context.settings.recent()]
    private += [text for x in session.layers for text in (x.name, x.volume.source, x.modality)]
    private += [*file_names, session.name]
    blocks = [
        f"# MHVAE Studio {__version__}: diagnostic report",
        "File names, paths and names of people were taken out. Read it before you send it.",
        _block("Program", _program()),
        _block("Computer", _computer(context.engine.devices)),
        _block("Settings", _settings(context)),
        _block("Case", _case(context, modalities)),
        "## Last messages\n\n" + _messages(context.messages.history, private, modalities),
        "## Log\n\n" + ("\n".join(f"- {line}" for line in last_lines(LOG_LINES)) or "None."),
    ]
    return "\n\n".join(blocks) + "\n"


def _block(title: str, rows: Iterable[tuple[str, object]]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {name}: {value}" for name, value in rows)


def _program() -> list[tuple[str, object]]:
    torch = torch_build()
    return [
        ("version", __version__),
        ("packaged", "yes" if packaged() else "no, from source"),
        ("Python", platform.python_version()),
        ("Qt", qVersion()),
        ("torch", f"{torch.version}, {torch.words}"),
    ]


def _computer(devices: Iterable[str]) -> list[tuple[str, object]]:
    import psutil  # not needed to show a window

    glibc = " ".join(platform.libc_ver()).strip()
    screens = [
        f"{s.size().width()} x {s.size().height()} at {s.devicePixelRatio():g}"
        for s in QGuiApplication.screens()
    ]
    return [
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("C library", glibc or "not glibc"),
        ("language", locale.getlocale()[0] or "none"),
        ("cores", f"{psutil.cpu_count(logical=False)} ({os.cpu_count()} threads)"),
        ("memory", f"{psutil.virtual_memory().total / 1e9:.1f} GB"),
        ("free memory", f"{psutil.virtual_memory().available / 1e9:.1f} GB"),
        ("devices", ", ".join(devices) or "not known: the engine has not started"),
        ("screens", "; ".join(screens)),
        ("screen system", QGuiApplication.platformName()),
    ]


def _settings(context: Context) -> list[tuple[str, object]]:
    form: dict[str, Any] = context.settings.form()
    return [
        ("appearance", context.settings.appearance),
        ("display", json.dumps(context.settings.display(), sort_keys=True)),
        ("synthesis", json.dumps({k: form[k] for k in FORM if k in form}, sort_keys=True)),
        ("recent files are kept", "yes" if context.settings.keeps_recent else "no"),
    ]


def _case(context: Context, modalities: set[str]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("engine", context.engine.state),
        ("models", len(context.session.synthesis.models)),
        ("volumes", len(context.session.layers)),
    ]
    for number, layer in enumerate(context.session.layers, 1):
        grid = layer.volume.grid
        kind = layer.modality if layer.modality in modalities else "another modality"
        size = " x ".join(map(str, grid.shape))
        spacing = " x ".join(f"{s:.3g}" for s in grid.spacing)
        words = f"{layer.kind}, {kind}, {size} voxels of {spacing} mm, axes {grid.axis_codes}"
        rows.append((f"volume {number}", words))
    return rows


def _messages(notes: Iterable[Note], private: list[str], modalities: set[str]) -> str:
    lines = [
        f"- {note.time:%H:%M:%S} {note.severity}: {anonymize(note.sentence, private, modalities)}"
        for note in list(notes)[-MESSAGES:]
    ]
    return "\n".join(lines) or "None."
