"""The fastest back end is found by the clock, kept per machine and model, and told."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models.base.network import Network
from core.models.bundle import Bundle, Preprocessing, header
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.weights import save
from core.synthesis import fastest
from core.synthesis.backends import Pass, TorchPass, bfloat16_here, build_pass
from core.synthesis.devices import BFLOAT16
from core.synthesis.fastest import BATCH, WORTH, choose, own_images, timed
from core.volume import Voxels

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)


class Paced:
    """The exact network, slowed down, and off by some of 255 everywhere and in one pixel."""

    def __init__(self, inner: Pass, seconds: float, off: float = 0.0, peak: float = 0.0) -> None:
        self.inner, self.seconds, self.off, self.peak = inner, seconds, off, peak

    def __call__(
        self,
        inputs: Mapping[str, Voxels],
        targets: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[Tensor] | None],
    ) -> dict[str, Voxels]:
        time.sleep(self.seconds)
        made = self.inner(inputs, targets, temperature, noises)
        for image in made.values():
            image += self.off / 127.5
            image[..., 0, 0] += self.peak / 127.5
        return made


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    path = tmp_path / "small.safetensors"
    save(Bundle(CONFIG, Preprocessing((1, 1, 1)), "small"), MHVAE(CONFIG), path)
    return header(path)


@pytest.fixture
def model() -> MHVAE:
    torch.manual_seed(0)
    return MHVAE(CONFIG).eval()


def paced(**speeds: tuple[float, ...]) -> fastest.Build:
    """Back ends by name: seconds a pass, then how far their images are off."""

    def build(model: Network, bundle: Bundle, device: str) -> Pass:
        if not speeds[device]:
            raise RuntimeError("it does not start")
        return Paced(TorchPass(model, "cpu"), *speeds[device])

    return build


def test_the_fastest_of_the_exact_ones_is_taken(model: MHVAE, bundle: Bundle) -> None:
    build = paced(cpu=(0.4,), openvino=(0.0,))
    choice = timed(model, bundle, ["cpu", "openvino"], seconds=0.1, build=build)
    assert choice.device == "openvino"
    assert choice.paces["cpu"] >= 0.4 / BATCH
    assert "Automatic uses CPU, accelerated (OpenVINO)" in choice.sentence
    assert "CPU 1" in choice.sentence  # its pace is told too


def test_a_gain_within_the_noise_of_a_clock_changes_nothing(
    model: MHVAE, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for second, taken in ((0.097, "cpu"), (0.093, "openvino")):
        paces = iter((0.1, second))
        monkeypatch.setattr(fastest, "_pace", lambda *_, p=paces: next(p))
        build = paced(cpu=(0.0,), openvino=(0.0,))
        assert timed(model, bundle, ["cpu", "openvino"], build=build).device == taken


def test_the_timing_takes_about_the_time_it_is_given(model: MHVAE, bundle: Bundle) -> None:
    start = time.perf_counter()
    timed(model, bundle, ["cpu", "openvino"], seconds=1.0, build=paced(cpu=(0,), openvino=(0,)))
    assert 1.0 <= time.perf_counter() - start < 20  # whatever else the machine does


@pytest.mark.parametrize(
    ("name", "off", "peak", "used"),
    [
        (BFLOAT16, 0.8, 5.0, True),
        (BFLOAT16, 1.2, 0.0, False),  # on average
        (BFLOAT16, 0.0, 9.0, False),  # at most
        ("openvino", 0.01, 0.0, True),
        ("openvino", 0.8, 0.0, False),  # it calls itself exact
        ("openvino", float("nan"), 0.0, False),
    ],
)
def test_what_changes_the_images_is_not_used_however_fast(
    model: MHVAE, bundle: Bundle, name: str, off: float, peak: float, used: bool
) -> None:
    build = paced(**{"cpu": (0.4,), name: (0.0, off, peak)})
    choice = timed(model, bundle, ["cpu", name], seconds=0.1, build=build)
    assert (choice.device == name) is used
    assert (name in choice.refused) is not used
    assert ("is not used: its images differ" in choice.sentence) is not used


def test_one_that_makes_fewer_images_than_asked_for_is_not_used(
    model: MHVAE, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Paced.__call__

    def short(self: Paced, inputs: Mapping[str, Voxels], *more: Any) -> dict[str, Voxels]:
        made = whole(self, inputs, *more)
        return {m: x[:, :2] for m, x in made.items()} if self.seconds == 0 else made

    monkeypatch.setattr(Paced, "__call__", short)
    build = paced(cpu=(0.01,), openvino=(0.0,))
    choice = timed(model, bundle, ["cpu", "openvino"], seconds=0.1, build=build)
    assert (choice.device, set(choice.refused)) == ("cpu", {"openvino"})


def test_one_that_does_not_start_is_left_out(model: MHVAE, bundle: Bundle) -> None:
    build = paced(cpu=(0,), openvino=())
    choice = timed(model, bundle, ["cpu", "openvino"], seconds=0.1, build=build)
    assert (choice.device, set(choice.paces)) == ("cpu", {"cpu"})


def test_it_is_timed_once_for_a_machine_and_a_model(
    model: MHVAE, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastest, "candidates", lambda: ["cpu", "openvino"])
    monkeypatch.setattr(fastest, "SECONDS", 0.1)
    build = paced(cpu=(0.4,), openvino=(0.0,))
    slower = paced(cpu=(0.0,), openvino=(0.4,))
    kept = tmp_path / "state" / "backends.json"

    def chosen(build: fastest.Build, **more: int) -> fastest.Choice:
        return choose("auto", model, bundle, folder=kept.parent, build=build, **more)

    little = chosen(build, tiles=WORTH - 1)
    assert (little.device, little.fresh, kept.exists()) == ("cpu", False, False)
    first, again = chosen(build), chosen(slower)
    assert (first.device, first.fresh) == ("openvino", True)
    assert (again.device, again.fresh, again.paces) == ("openvino", False, first.paces)
    assert chosen(build, tiles=1).device == "openvino"  # what is known costs nothing
    assert str(bundle.path) not in kept.read_text()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)  # as good as another machine
    assert (chosen(slower).device, len(json.loads(kept.read_text()))) == ("cpu", 2)
    for damage in ("", "[]", kept.read_text().replace('"paces"', '"races"')):
        kept.write_text(damage)
        assert chosen(slower).fresh


def test_a_named_device_is_taken_without_timing(
    model: MHVAE, bundle: Bundle, tmp_path: Path
) -> None:
    choice = choose("cpu", model, bundle, folder=tmp_path / "state", build=paced())
    assert (choice.device, choice.sentence) == ("cpu", "")


def test_the_images_it_is_timed_on_are_the_model_s_own(model: MHVAE) -> None:
    images = own_images(model)
    assert list(images) == list(CONFIG.modalities)
    assert {x.shape for x in images.values()} == {(BATCH, 1, 16, 16)}
    assert all(np.array_equal(x, own_images(model)[m]) for m, x in images.items())


@pytest.mark.skipif(not bfloat16_here(), reason="this CPU has no bfloat16")
def test_bfloat16_makes_nearly_the_same_images(model: MHVAE, bundle: Bundle) -> None:
    exact, nearly = (build_pass(model, bundle, name) for name in ("cpu", BFLOAT16))
    images = own_images(model)
    a, b = (p({"T2": images["T2"]}, ("iUS",), 0.0, [None])["iUS"] for p in (exact, nearly))
    assert b.dtype == np.float32
    assert 0 < np.abs(a - b).max() < 0.2
