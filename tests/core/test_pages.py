"""Pages from templates: every value escaped, none forgotten, each template rendered somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from core.assets import PAGES
from core.pages import render

EVIL = "<script>alert(1)</script>\"'&"


def test_values_are_escaped_in_text_and_attributes() -> None:
    values = {"name": EVIL, "outcome": EVIL, "reason": EVIL, "sources": EVIL, "alignment": EVIL}
    case = {**values, "pictures": {EVIL: EVIL}}
    page = render("prepared.html", summary=EVIL, cases=[case])
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;") == 10
    card = render("card.html", name=EVIL, rows=[(EVIL, {EVIL: EVIL})], sha256=EVIL, file=EVIL)
    assert "<script" not in card
    assert card.count("&lt;script&gt;") == 6


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="cases"):
        render("prepared.html", summary="")


def test_every_template_is_used_and_loads_nothing() -> None:
    root = Path(__file__).resolve().parents[2]
    code = "\n".join(p.read_text(encoding="utf-8") for p in root.glob("[act]*/**/*.py"))
    for template in PAGES.iterdir():
        assert f'"{template.name}"' in code
        assert not re.search(
            r"https?:|<script|@import|url\(|\|\s*safe", template.read_text("utf-8")
        )


def test_templates_cost_nothing_until_a_page_is_made() -> None:
    code = "import sys, core.pages, app.shell.shortcuts; assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
