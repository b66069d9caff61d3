"""Collects the licences of everything that goes into the packaged program."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from core.version import __version__

Entry = tuple[str, str, str]


def system_licences(libraries: Iterable[str]) -> list[Entry]:
    """Collect the licence files of libraries taken from the system, where Debian keeps them."""
    if not sys.platform.startswith("linux") or shutil.which("dpkg-query") is None:
        return []
    files = []
    for library in libraries:
        # Packages name /usr/lib or /lib, whichever they were built for.
        names = {str(p) for p in (Path(library), Path(library).resolve())}
        names |= {n.removeprefix("/usr") for n in names}
        found = subprocess.run(["dpkg-query", "-S", *names], capture_output=True, text=True)
        for package in {line.split(":")[0] for line in found.stdout.splitlines()}:
            page = Path("/usr/share/doc") / package / "copyright"
            if page.is_file():
                files.append((f"licences/system/{package}.txt", str(page), "DATA"))
    return sorted(set(files))


def licence_name(about: metadata.PackageMetadata) -> str:
    """Return what a distribution's metadata call its licence; some put the whole text there."""
    if "License-Expression" in about:
        return about["License-Expression"]
    said = about["License"].strip() if "License" in about else ""
    if said and "\n" not in said:
        return said
    classes = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if "License ::" in c]
    return ", ".join(classes) or "see its files"


def licences(entries: Sequence[Entry], root: Path, work: Path) -> list[Entry]:
    """Collect the licence files of every distribution in the package, and a list of them.

    Args:
        entries: PyInstaller's (place in the package, file, kind).
        root: the source's folder.
        work: where the list may be written.
    """
    owners = metadata.packages_distributions()
    tops = {re.split(r"[./\\]", entry[0])[0] for entry in entries}
    names = {name for top in tops for name in owners.get(top, [])} - {"mhvae-studio"}
    rows, files = [], []
    for name in sorted(names, key=str.lower):
        one = metadata.distribution(name)
        rows.append(f"| {name} | {one.version} | {licence_name(one.metadata)} |")
        for file in one.files or []:
            words = file.as_posix()
            if ".dist-info/" in words and re.search(r"(?i)licen[cs]e|copying|notice", words):
                inside = words.split(".dist-info/")[1].removeprefix("licenses/")
                files.append((f"licences/{name}/{inside}", str(one.locate_file(file)), "DATA"))
    interpreter = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    if interpreter.is_file():
        files.append(("licences/Python/LICENSE.txt", str(interpreter), "DATA"))
    files += system_licences([e[1] for e in entries if re.match(r"/(usr/)?lib", e[1])])
    rows.append(f"| Python | {sys.version.split()[0]} | PSF-2.0 |")
    page = work / "LIST.md"
    page.write_text(
        f"# What is inside MHVAE Studio {__version__}\n\n"
        "Qt, PySide6 and the other libraries lie beside the program as files of their own and can\n"
        "be replaced by versions you build yourself, as the LGPL asks (see assets/licences).\n"
        "Libraries of the system this was built on have their licences in `system`.\n\n"
        "| part | version | licence |\n|---|---|---|\n" + "\n".join(rows) + "\n",
        encoding="utf-8",
    )
    files.append(("licences/LIST.md", str(page), "DATA"))
    files.append(("licences/LICENSE", str(root / "LICENSE"), "DATA"))
    return files
