"""The pages of the user guide: which there are, in what order, and what their headings are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FIRST = "guide.md"

_LINK = re.compile(r"\]\(([\w./-]+\.md)(?:#[\w-]*)?\)")
_PICTURE = re.compile(r"(!\[[^\]]*\]\([^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        path: its file.
        text: Markdown.
        title: its first heading.
        headings: the headings of the second and third level below it.
    """

    path: Path
    text: str
    title: str
    headings: tuple[str, ...]


def read_pages(folder: Path) -> list[Page]:
    """Read the guide and every page it leads to, in the order in which it names them.

    Args:
        folder: holds ``guide.md``.
    """
    folder = folder.resolve()
    found: dict[Path, Page] = {}
    waiting = [folder / FIRST]
    while waiting:
        path = waiting.pop(0)
        if path in found or path.parent != folder or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        found[path] = _page(path, text)
        waiting += [(folder / link).resolve() for link in links(text)]
    return list(found.values())


def links(text: str) -> list[str]:
    """Return the other pages a page links to, in order."""
    return _LINK.findall(text)


def slug(heading: str) -> str:
    """Return the anchor of a heading as sites that show Markdown make it."""
    words = re.sub(r"[^\w\s-]", "", heading.lower())
    return re.sub(r"\s", "-", words.strip())


def with_narrow_pictures(text: str) -> str:
    """Mark pictures that share their line in a table, so that two fit side by side."""
    lines = text.splitlines()
    return "\n".join(
        _PICTURE.sub(r"\1?half)", line) if line.startswith("|") else line for line in lines
    )


def _page(path: Path, text: str) -> Page:
    headings, code = [], False
    for line in text.splitlines():
        code ^= line.startswith("```")
        if not code and (match := re.match(r"(#{1,3}) (.+)", line)):
            headings.append((len(match[1]), match[2].strip().replace("`", "")))
    title = next((words for level, words in headings if level == 1), path.stem)
    return Page(path, text, title, tuple(words for level, words in headings if level > 1))
