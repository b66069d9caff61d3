"""Where the program's own files lie, from source, installed or frozen."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "assets"
"""Folder of icons, built-in models, the demo case and templates."""

DEMO_CASE = ROOT / "demo"
MODELS = ROOT / "models"
MODALITIES = ROOT / "modalities.toml"
"""Table of the modalities known by name."""
PAGES = ROOT / "pages"
"""Templates of :mod:`core.pages`."""
GUIDE = ROOT / "guide" if (ROOT / "guide").is_dir() else ROOT.parent / "docs"
"""Pages and pictures of the user guide: packed with the assets, or where they are written."""
