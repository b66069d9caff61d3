"""What a user may send to those who help: versions, device, settings, last messages; no names."""

from __future__ import annotations

import json
import locale
import os
import platform
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import psutil
from PySide6.QtCore import qVersion
from PySide6.QtGui import QGuiApplication

from app.shell.anonymous import anonymous
from app.state.messages import Note
from core.torch_build import torch_build
from core.version import __version__

if TYPE_CHECKING:
    from app.shell.window import MainWindow

MESSAGES = 60
FORM = ("batch", "device", "samples", "temperature")
"""Choices of the Synthesis panel that say nothing about files."""


def diagnostics(window: MainWindow) -> str:
    """Return the report about a window, ready to be shown and saved."""
    session = window.session
    modalities = {m for b in window.synthesiser.models for m in b.config.modalities}
    private = [str(path) for path in window.settings.recent()]
    private += [text for x in session.layers for text in (x.name, x.volume.source, x.modality)]
    private += [str(origin.path) for origin in window.opener.origins.values()]
    private += [t for r in window.importer.rows for t in (r.header.source, str(r.header.path))]
    private += [session.name, str(window.projects.path or "")]
    blocks = [
        f"# MHVAE Studio {__version__}: diagnostic report",
        "File names, paths and names of people were taken out. Read it before you send it.",
        _block("Program", _program()),
        _block("Computer", _computer(window.client.devices)),
        _block("Settings", _settings(window)),
        _block("Case", _case(window, modalities)),
        "## Last messages\n\n" + _messages(window.notes.history, private, modalities),
    ]
    return "\n\n".join(blocks) + "\n"


def _block(title: str, rows: Iterable[tuple[str, object]]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {name}: {value}" for name, value in rows)


def _program() -> list[tuple[str, object]]:
    torch = torch_build()
    return [
        ("version", __version__),
        ("packaged", "yes" if getattr(sys, "frozen", False) else "no, from source"),
        ("Python", platform.python_version()),
        ("Qt", qVersion()),
        ("torch", f"{torch.version}, {torch.words}"),
    ]


def _computer(devices: Iterable[str]) -> list[tuple[str, object]]:
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


def _settings(window: MainWindow) -> list[tuple[str, object]]:
    form: dict[str, Any] = window.settings.form()
    return [
        ("appearance", window.settings.appearance),
        ("display", json.dumps(window.settings.display(), sort_keys=True)),
        ("synthesis", json.dumps({k: form[k] for k in FORM if k in form}, sort_keys=True)),
        ("recent files are kept", "yes" if window.settings.keeps_recent else "no"),
    ]


def _case(window: MainWindow, modalities: set[str]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("engine", window.client.state),
        ("models", len(window.synthesiser.models)),
        ("volumes", len(window.session.layers)),
    ]
    for number, layer in enumerate(window.session.layers, 1):
        grid = layer.volume.grid
        kind = layer.modality if layer.modality in modalities else "another modality"
        size = " x ".join(map(str, grid.shape))
        spacing = " x ".join(f"{s:.3g}" for s in grid.spacing)
        words = f"{layer.kind}, {kind}, {size} voxels of {spacing} mm, axes {grid.axis_codes}"
        rows.append((f"volume {number}", words))
    return rows


def _messages(notes: Iterable[Note], private: list[str], modalities: set[str]) -> str:
    lines = [
        f"- {note.time:%H:%M:%S} {note.severity}: {anonymous(note.sentence, private, modalities)}"
        for note in list(notes)[-MESSAGES:]
    ]
    return "\n".join(lines) or "None."
