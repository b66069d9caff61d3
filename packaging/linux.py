"""Makes the Linux downloads from the packaged folder, a tarball and a .deb, always the same bytes.

``python packaging/linux.py dist/mhvae-studio`` writes both beside the folder and says their names.
"""

from __future__ import annotations

import gzip
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from package_report import oldest_glibc

from core.torch_build import torch_build
from core.version import __version__

NAME = "mhvae-studio"
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1577836800"))
"""The time every file in a download gets, so that two builds of one source are equal."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NEEDS = "libegl1, libgl1, libxcb1, libwayland-client0, libwayland-cursor0, libwayland-egl1"
"""What the program takes from the system besides the C library."""

CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Section: science
Priority: optional
Maintainer: MHVAE Studio maintainers <maintainers@users.noreply.github.com>
Installed-Size: {kilobytes}
Depends: libc6 (>= {glibc}), {needs}
Description: T2 MRI and intra-operative ultrasound synthesis
 Synthesises the missing one of a patient's T2 MRI and intra-operative
 ultrasound with a multi-modal hierarchical variational auto-encoder.
 Research use only; not a medical device.
"""


def stem() -> str:
    """Return the tarball's name without its ending; the build of torch is part of it."""
    kind = "cpu" if torch_build().cuda is None else "cuda"
    return f"{NAME}-{__version__}-linux-{platform.machine()}-{kind}"


def files(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder, sorted, folders before what is in them."""
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from files(path)


def tarball(program: Path, target: Path) -> None:
    """Write the folder as one archive; nothing in it tells when or by whom it was made."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = EPOCH
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    part = target.with_name(f".{target.name}.part")
    with (
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=EPOCH) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        archive.add(program, stem(), recursive=False, filter=plain)
        for path in files(program):
            inside = f"{stem()}/{path.relative_to(program)}"
            archive.add(path, inside, recursive=False, filter=plain)
    part.replace(target)


def deb(program: Path, target: Path) -> None:
    """Write a Debian package: the folder, a link to the program, and what a desktop needs."""
    root = target.with_name("deb-root")
    shutil.rmtree(root, ignore_errors=True)
    inside = root / "usr" / "lib" / NAME
    shutil.copytree(program, inside, symlinks=True, copy_function=os.link)
    _link(root / "usr/bin" / NAME, Path("../lib") / NAME / NAME)
    assets = program / "_internal" / "assets"
    for source, place in (
        (assets / "linux" / f"{NAME}.desktop", f"usr/share/applications/{NAME}.desktop"),
        (assets / "linux" / f"{NAME}-mime.xml", f"usr/share/mime/packages/{NAME}.xml"),
        (assets / "icons/app.png", f"usr/share/icons/hicolor/256x256/apps/{NAME}.png"),
        (assets / "icons/app.svg", f"usr/share/icons/hicolor/scalable/apps/{NAME}.svg"),
        (program / "_internal/licences/LICENSE", f"usr/share/doc/{NAME}/copyright"),
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / place)
    size = sum(p.lstat().st_size for p in files(root) if not p.is_dir())
    control = CONTROL.format(
        name=NAME, version=__version__, architecture=ARCHITECTURES[platform.machine()],
        kilobytes=size // 1024, glibc=oldest_glibc(program), needs=NEEDS,
    )  # fmt: skip
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(control, encoding="utf-8")
    for path in [root, *files(root)]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z6", str(root), str(target)],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(root)


def _link(place: Path, to: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(to)


def main(program: Path) -> None:
    """Write the downloads that this system has the tools for; older ones go."""
    for old in (*program.parent.glob(f"{NAME}-*.tar.gz"), *program.parent.glob(f"{NAME}-*.deb")):
        old.unlink()
    made = program.parent / f"{stem()}.tar.gz"
    tarball(program, made)
    print(made.name, f"{made.stat().st_size / 1e6:.0f} MB")
    if shutil.which("dpkg-deb") is None:
        print("No .deb: dpkg-deb is not installed.")
        return
    made = program.parent / f"{stem()}.deb"
    deb(program, made)
    print(made.name, f"{made.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
