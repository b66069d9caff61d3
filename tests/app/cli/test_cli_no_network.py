"""No command opens a connection, asks for a name, or writes into the home folder unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.child_process import child_environment
from core.io import write
from core.models import weights
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
WATCHED = """
import json, sys
seen = []
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto",
                 "urllib.Request", "http.client.connect"):
        seen.append([event, repr(arguments)])
        raise OSError("no network in this test")
sys.addaudithook(watch)
if sys.argv[1] == "ask":
    import socket
    try:
        socket.getaddrinfo("host.invalid", 80)
    except OSError:
        pass
    status = 0
else:
    from app.cli import main
    status = main(sys.argv[1:])
    import time
    time.sleep(0.5)  # for what threads do in the background
print("WATCHED", json.dumps([status, seen]))
"""


def watched(home: Path, *arguments: object) -> tuple[int, list[list[str]]]:
    """Run a command with its own home folder; return its status and what it asked the network."""
    places = {"HOME": home, "USERPROFILE": home, "LOCALAPPDATA": home / "local"}
    environment = {k: v for k, v in child_environment().items() if not k.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", WATCHED, *map(str, arguments)],
        env={**environment, **{k: str(v) for k, v in places.items()}},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    line = next((x for x in done.stdout.splitlines() if x.startswith("WATCHED ")), "")
    assert line, done.stderr
    status, seen = json.loads(line.removeprefix("WATCHED "))
    return status, seen


def test_the_watch_sees_a_question(tmp_path: Path) -> None:
    assert watched(tmp_path, "ask")[1][0][0] == "socket.getaddrinfo"


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_synthesis_asks_no_host_and_leaves_no_identity(
    device: str, tmp_path: Path, make_volume: Callable[..., Volume]
) -> None:
    if device == "openvino":
        pytest.importorskip("openvino")
    home = tmp_path / "home"
    home.mkdir()
    torch.manual_seed(0)
    model = tmp_path / "small.safetensors"
    weights.save(Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"), MHVAE(CONFIG), model)
    t2 = write(make_volume((20, 14, 12)), tmp_path / "a-T2.nii.gz")
    status, seen = watched(
        home, "synthesize", "--input", f"T2={t2}", "--out", tmp_path / "out", "--fov", "whole",
        "--model", model, "--device", device,
    )  # fmt: skip
    assert (status, seen) == (0, [])
    files = [Path(f) / name for f, _, names in os.walk(home) for name in names]
    assert [f for f in files if "mhvae-studio" not in f.parts] == []
