"""Where the program's own files lie, from source, installed or frozen."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "assets"
"""Folder of icons, built-in models and the demo case."""

DEMO_CASE = ROOT / "demo"
MODELS = ROOT / "models"
MODALITIES = ROOT / "modalities.toml"
"""Table of the modalities known by name."""
GUIDE = ROOT / "guide" if (ROOT / "guide").is_dir() else ROOT.parent / "docs"
"""Pages and pictures of the user guide: packed with the assets, or where they are written."""
