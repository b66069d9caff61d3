"""Start of the packaged program beside the same source: process start to window seen on a screen.

``python benchmarks/start.py dist/mhvae-studio/mhvae-studio [ROUNDS]`` needs Xvfb.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from virtual_screen import start_watching, virtual_screen  # noqa: E402

DEMO = [str(ROOT / "assets/demo" / f"Demo-{m}.nii.gz") for m in ("T2", "iUS")]


def start(command: list[str], what: str, home: str) -> float:
    """Return seconds until the window, or images in it, are seen; the window is then closed."""
    environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "PYTHONPATH": str(ROOT)}
    with virtual_screen() as display:
        watcher = start_watching(display, Path(home, "seen.png"), what, patience=120)
        begin = time.time()
        window = subprocess.Popen(
            command,
            env={**environment, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
            stderr=subprocess.DEVNULL,
        )
        said, _ = watcher.communicate(timeout=150)
        window.terminate()
        window.wait(30)
    return float(said) - begin


def main(program: str, rounds: int = 10) -> None:
    """Start both in turn, files warm, and print medians, ranges and the ratio."""
    ways = {"packaged": [str(Path(program).absolute())], "source": [sys.executable, "-m", "app"]}
    with tempfile.TemporaryDirectory() as home:
        for what, files in (("window", []), ("images", DEMO)):
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(rounds + 1):
                for name, command in ways.items():
                    seconds = start([*command, *files], what, home)
                    if number:  # the first round warms the files
                        taken[name].append(seconds)
            middle = {name: statistics.median(values) for name, values in taken.items()}
            for name, values in taken.items():
                print(f"{what}, {name}: {middle[name]:.2f} ({min(values):.2f}-{max(values):.2f}) s")
            print(f"{what}, ratio of the medians: {middle['packaged'] / middle['source']:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
