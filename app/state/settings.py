"""What the program remembers between starts: one ini file in the user's configuration folder.

No patient names and no paths, except the list of recent files, which can be turned off.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QByteArray, QSettings

from core.schema import rebuilt

T = TypeVar("T")
RECENT_LIMIT = 10
PACES_KEPT = 6
"""Measured seconds per tile remembered per model, device and kind of request."""


def default_path() -> Path:
    """Return where the settings lie: ``settings.ini`` in the user's configuration folder."""
    from platformdirs import user_config_path

    return user_config_path("mhvae-studio", appauthor=False) / "settings.ini"


class Settings:
    """Typed access to the ini file.

    Args:
        path: the file; default :func:`default_path`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._store = QSettings(str(path or default_path()), QSettings.Format.IniFormat)

    # ---- window

    def window_state(self) -> tuple[QByteArray, QByteArray] | None:
        """Return geometry and dock state of the last window, if there was one."""
        geometry, docks = self._store.value("window/geometry"), self._store.value("window/docks")
        if isinstance(geometry, QByteArray) and isinstance(docks, QByteArray):
            return geometry, docks
        return None

    def keep_window_state(self, geometry: QByteArray, docks: QByteArray) -> None:
        """Remember geometry and dock state."""
        self._store.setValue("window/geometry", geometry)
        self._store.setValue("window/docks", docks)

    @property
    def appearance(self) -> str:
        """``"system"``, ``"light"`` or ``"dark"``."""
        return str(self._store.value("window/appearance", "system"))

    @appearance.setter
    def appearance(self, name: str) -> None:
        self._store.setValue("window/appearance", name)

    # ---- recent files

    @property
    def keeps_recent(self) -> bool:
        """Whether opened files are listed."""
        return bool(self._store.value("recent/keep", True, bool))

    @keeps_recent.setter
    def keeps_recent(self, keep: bool) -> None:
        self._store.setValue("recent/keep", keep)
        if not keep:
            self.clear_recent()

    def recent(self) -> list[Path]:
        """Return recently opened files and folders, newest first."""
        return self._json("recent/paths", list[Path], [])

    def add_recent(self, path: Path) -> None:
        """Put a path at the head of the list, unless the list is turned off."""
        if self.keeps_recent:
            known = [str(p) for p in self.recent() if p != path]
            self._put_json("recent/paths", [str(path), *known][:RECENT_LIMIT])

    def clear_recent(self) -> None:
        """Empty the list."""
        for name in ("paths", "cohorts", "pictures"):
            self._store.remove(f"recent/{name}")

    def recent_picture(self, path: Path) -> bytes:
        """Return the small picture (PNG) of something recently opened; empty without one."""
        pictures = self._json("recent/pictures", dict[str, str], {})
        try:
            return base64.b64decode(pictures.get(str(path), ""))
        except ValueError:
            return b""

    def keep_recent_picture(self, path: Path, png: bytes) -> None:
        """Remember a small picture with a recent file; it goes when the file leaves the list."""
        recent = [str(p) for p in self.recent()]
        pictures = self._json("recent/pictures", dict[str, str], {})
        pictures[str(path)] = base64.b64encode(png).decode()
        self._put_json("recent/pictures", {p: x for p, x in pictures.items() if p in recent})

    def recent_cohorts(self) -> list[Path]:
        """Return cohorts the trainer was shown, newest first; off with the recent files."""
        return (
            [Path(p) for p in self._json("recent/cohorts", list[str], [])]
            if self.keeps_recent
            else []
        )

    def add_recent_cohort(self, path: Path) -> None:
        """Put a cohort at the head of the list, unless recent files are turned off."""
        if self.keeps_recent:
            known = [str(p) for p in self.recent_cohorts() if p != path]
            self._put_json("recent/cohorts", [str(path), *known][:RECENT_LIMIT])

    # ---- display and synthesis

    def display(self) -> dict[str, Any]:
        """Return the remembered display settings."""
        return self._json("display", dict[str, Any], {})

    def keep_display(self, values: dict[str, Any]) -> None:
        """Remember display settings."""
        self._put_json("display", values)

    def windows(self) -> dict[str, tuple[float, float]]:
        """Return window/level per modality, relative to the automatic one."""
        return self._json("windows", dict[str, tuple[float, float]], {})

    def keep_windows(self, values: dict[str, tuple[float, float]]) -> None:
        """Remember window/level per modality."""
        self._put_json("windows", values)

    def form(self) -> dict[str, Any]:
        """Return the Synthesis panel's last choices."""
        return self._json("synthesis/form", dict[str, Any], {})

    def keep_form(self, values: dict[str, Any]) -> None:
        """Remember the Synthesis panel's choices."""
        self._put_json("synthesis/form", values)

    def paces(self, key: str) -> list[float]:
        """Return seconds per tile measured on this computer for one kind of request."""
        return self._paces().get(key, [])

    def add_pace(self, key: str, pace: float) -> None:
        """Remember one more measurement."""
        known = self._paces()
        known[key] = [*known.get(key, []), round(pace, 5)][-PACES_KEPT:]
        self._put_json("paces", known)

    # ---- inside

    def _paces(self) -> dict[str, list[float]]:
        return self._json("paces", dict[str, list[float]], {})

    def _json(self, name: str, kind: type[T], default: T) -> T:
        """Return a value; a file edited by hand must not keep the program from starting."""
        try:
            return rebuilt(kind, json.loads(str(self._store.value(name, ""))))
        except ValueError:
            return default

    def _put_json(self, name: str, value: Any) -> None:
        self._store.setValue(name, json.dumps(value))

    def sync(self) -> None:
        """Write to disk now."""
        self._store.sync()
