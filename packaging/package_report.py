"""Says how large the parts of a packaged program are, and the oldest C library it runs with.

``python packaging/package_report.py dist/mhvae-studio``
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

PARTS = {
    r"torch|torchgen|functorch": "torch",
    r"SimpleITK": "SimpleITK",
    r"PySide6|shiboken6": "Qt and PySide6",
    r"scipy": "scipy and its OpenBLAS",
    r"numpy": "numpy and its OpenBLAS",
    r"mhvae-studio(\.exe)?": "the program: every Python module, compressed",
    r"python3.*|libpython.*|base_library.*|lib-dynload": "Python and its standard library",
    r"h5py": "h5py and HDF5",
    r"PIL|pillow": "Pillow",
    r"skimage": "scikit-image",
    r"assets": "assets: model, demo case, guide",
    r"licences": "licences",
    r"lib[^/]*\.so.*": "libraries of the system (X11, OpenSSL, …)",
}


def sizes(program: Path) -> dict[str, int]:
    """Return part → bytes, the largest first; links count nothing."""
    found: Counter[str] = Counter()
    for path in program.rglob("*"):
        if path.is_file() and not path.is_symlink():
            inside = path.relative_to(program).parts
            top = inside[1] if inside[0] == "_internal" else inside[0]
            found[_part(top)] += path.stat().st_size
    return dict(found.most_common())


def _part(top: str) -> str:
    name = re.sub(r"(\.libs|-[\d.]+\.dist-info)$", "", top)
    return next((part for pattern, part in PARTS.items() if re.fullmatch(pattern, name)), "others")


def glibc_versions(program: Path) -> dict[tuple[int, ...], list[str]]:
    """Return the newest version of glibc that each ELF file asks for → the files that do."""
    found: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for path in [program / program.name, *program.rglob("*.so*")]:
        if path.is_file() and not path.is_symlink():
            said = subprocess.run(["objdump", "-p", path], capture_output=True, text=True).stdout
            asked = [tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([\d.]+)", said)]
            if asked:
                found[max(asked)].append(path.name)
    return dict(sorted(found.items(), reverse=True))


def oldest_glibc(program: Path) -> str:
    """Return the oldest glibc that every file in the package runs with."""
    return ".".join(map(str, max(glibc_versions(program))))


def main(program: Path) -> None:
    """Print both."""
    found = sizes(program)
    for part, size in found.items():
        print(f"| {part} | {size / 1e6:.1f} |")
    print(f"| **all** | **{sum(found.values()) / 1e6:.1f}** |")
    if sys.platform.startswith("linux"):
        for version, names in list(glibc_versions(program).items())[:3]:
            words = ", ".join(sorted(names)[:6])
            print(f"glibc {'.'.join(map(str, version))}: {len(names)} files, such as {words}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
