"""LPIPS against its formula written down plainly, and files that are no weights of it.

The weights here are random: the tests show the arithmetic, never the published measure.
"""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

import core.lpips.weights
from core.lpips.layouts import HOW, LAYOUTS, Layout, head
from core.lpips.weights import LpipsError, load

Array = NDArray[np.float64]
ALEX, VGG, SQUEEZE = LAYOUTS


def random_weights(layout: Layout, seed: int = 0) -> dict[str, Tensor]:
    """Draw weights that keep the features' size from layer to layer; heads are not negative."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in layout.tensors().items():
        spread = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
        made[f"features.{name}"] = torch.randn(shape, generator=generator) * spread
    for name, shape in layout.heads().items():
        made[name] = torch.rand(shape, generator=generator)
    return made


def saved(path: Path, weights: dict[str, Tensor]) -> Path:
    torch.save(weights, path)
    return path


def parts(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    backbone = {k: v for k, v in weights.items() if k.startswith("features.")}
    return backbone, {k: v for k, v in weights.items() if k.startswith("lin")}


# ---- the formula, from the paper and the networks' own papers, in numpy and float64


class Plain:
    """A network as its authors draw it; every ReLU is named by the tensor before it."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = {k: v.double().numpy() for k, v in weights.items()}

    def conv(self, x: Array, name: str, stride: int = 1, padding: int = 0) -> Array:
        """(c, h, w) → ReLU of the convolution, (out, h', w')."""
        weight, bias = (self.weights[f"features.{name}.{k}"] for k in ("weight", "bias"))
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
        windows = sliding_window_view(x, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
        return np.maximum(np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None], 0)

    def pool(self, x: Array, side: int, ceil: bool = False) -> Array:
        """Maximum of squares, every second one; with ``ceil`` the last may stick out."""
        height, width = x.shape[1:]
        count = math.ceil if ceil else math.floor
        rows, columns = (count((n - side) / 2) + 1 for n in (height, width))
        out = np.empty((x.shape[0], rows, columns))
        for r in range(rows):
            for c in range(columns):
                out[:, r, c] = x[:, 2 * r : 2 * r + side, 2 * c : 2 * c + side].max(axis=(1, 2))
        return out

    def fire(self, x: Array, name: str) -> Array:
        small = self.conv(x, f"{name}.squeeze")
        one, three = (self.conv(small, f"{name}.expand{k}", padding=p) for k, p in SIDES)
        return np.concatenate([one, three])

    def alex(self, x: Array) -> list[Array]:
        one = self.conv(x, "0", 4, 2)
        two = self.conv(self.pool(one, 3), "3", 1, 2)
        three = self.conv(self.pool(two, 3), "6", 1, 1)
        four = self.conv(three, "8", 1, 1)
        return [one, two, three, four, self.conv(four, "10", 1, 1)]

    def vgg(self, x: Array) -> list[Array]:
        found: list[Array] = []
        for block in (("0", "2"), ("5", "7"), ("10", "12", "14"), ("17", "19", "21"), LAST):
            x = self.pool(x, 2) if found else x
            for name in block:
                x = self.conv(x, name, 1, 1)
            found.append(x)
        return found

    def squeeze(self, x: Array) -> list[Array]:
        one = self.conv(x, "0", 2)
        two = self.fire(self.fire(self.pool(one, 3, ceil=True), "3"), "4")
        three = self.fire(self.fire(self.pool(two, 3, ceil=True), "6"), "7")
        four = self.fire(self.pool(three, 3, ceil=True), "9")
        five = self.fire(four, "10")
        six = self.fire(five, "11")
        return [one, two, three, four, five, six, self.fire(six, "12")]


SIDES = (("1x1", 0), ("3x3", 1))
LAST = ("24", "26", "28")


def restated(layout: Layout, weights: dict[str, Tensor], first: Array, second: Array) -> float:
    """Zhang et al. 2018, Eq. 1: place by place, channel by channel."""
    network = Plain(weights)
    mean, sd = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    layers = []
    for grey in (first, second):
        colours = np.stack([(grey + 1) / 2] * 3)  # ImageNet's numbers are of [0, 1]
        normed = (colours - mean[:, None, None]) / sd[:, None, None]
        layers.append(getattr(network, layout.key)(normed))
    total = 0.0
    for number, (x, y) in enumerate(zip(*layers, strict=True)):
        weight = network.weights[f"lin{number}.model.1.weight"].ravel()
        places = []
        for at in np.ndindex(x.shape[1:]):
            one, other = (f[(slice(None), *at)] for f in (x, y))
            one, other = (f / (np.sqrt((f**2).sum()) + 1e-10) for f in (one, other))
            places.append(float((weight * (one - other) ** 2).sum()))
        total += float(np.mean(places))
    return total


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.key)
def test_it_is_the_formula_of_the_paper(layout: Layout, tmp_path: Path) -> None:
    weights = random_weights(layout)
    measure, _ = load([saved(tmp_path / "w.pth", weights)])
    random = np.random.default_rng(0)
    first, second = (random.uniform(-1, 1, (39, 34, 2)) for _ in range(2))
    expected = [restated(layout, weights, first[..., k], second[..., k]) for k in range(2)]
    assert measure.volumes(first, second) == pytest.approx(np.mean(expected), rel=2e-4)
    assert measure.volumes(second, first) == pytest.approx(np.mean(expected), rel=2e-4)
    assert measure.volumes(first, first) == pytest.approx(0, abs=1e-7)
    both = [torch.rand(3, 3, 40, 40) * 2 - 1 for _ in range(2)]
    together = measure.images(*both)
    alone = [float(measure.images(*(b[n : n + 1] for b in both))) for n in range(3)]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)
    assert len(set(alone)) == 3


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.key)
def test_an_image_too_small_for_a_network_has_no_distance(layout: Layout, tmp_path: Path) -> None:
    measure, _ = load([saved(tmp_path / "w.pth", random_weights(layout))])
    fits = np.zeros((layout.smallest, layout.smallest, 1))
    assert measure.volumes(fits, fits + 0.5) > 0
    assert math.isnan(measure.volumes(fits[1:], fits[1:] + 0.5))
    with pytest.raises(RuntimeError, match="too small"):
        measure.images(*[torch.zeros(1, 3, layout.smallest - 1, layout.smallest)] * 2)
    assert math.isnan(measure.volumes(fits[..., :0], fits[..., :0]))


def test_the_layouts_are_the_networks_of_their_papers() -> None:
    """Parameters of the whole networks, as their authors count them, less the classifiers."""
    sizes = {one.key: sum(math.prod(s) for s in one.tensors().values()) for one in LAYOUTS}
    assert sizes == {
        "alex": 61_100_840 - (9216 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000),
        "vgg": 138_357_544 - (25088 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000),
        "squeeze": 1_235_496 - (512 * 1000 + 1000),
    }
    assert [sum(one.compared()) for one in LAYOUTS] == [1152, 1472, 2240]
    assert [len(one.heads()) for one in LAYOUTS] == [5, 5, 7]
    assert ALEX.heads()[head(1)] == (1, 192, 1, 1)
    assert set(VGG.tensors()) >= {"0.weight", "28.bias"}
    assert SQUEEZE.tensors()["12.expand3x3.weight"] == (256, 64, 3, 3)


# ---- files


def test_one_file_two_files_and_the_package_s_names_are_the_same(tmp_path: Path) -> None:
    weights = random_weights(SQUEEZE)
    backbone, heads = parts(weights)
    whole = saved(tmp_path / "whole.pth", weights)
    one = saved(tmp_path / "one.pth", {**backbone, "classifier.1.weight": torch.zeros(3)})
    other = tmp_path / "other.safetensors"
    save_file(heads, other)
    slices = {"0": 1, "3": 2, "4": 2, "6": 3, "7": 3, "9": 4, "10": 5, "11": 6, "12": 7}
    named = {
        re.sub(r"features\.(\d+)", lambda m: f"net.slice{slices[m[1]]}.{m[1]}", key): value
        for key, value in weights.items()
    }
    more = {key.replace("lin", "lins."): value for key, value in heads.items()}
    more["scaling_layer.shift"] = torch.zeros(1, 3, 1, 1)
    package = saved(tmp_path / "package.pth", {**named, **more})
    random = np.random.default_rng(1)
    images = [random.uniform(-1, 1, (33, 33, 1)) for _ in range(2)]
    measured = [
        load(files)[0].volumes(*images)
        for files in ([whole], [one, other], [other, one], [package])
    ]
    assert len(set(measured)) == 1
    told = load([other, one])[1]
    hashes = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (one, other)}
    assert told.files == {"backbone": hashes[one], "heads": hashes[other]}
    assert (told.layout, told.backbone_known, told.heads_known) == ("SqueezeNet 1.1", False, False)
    assert f"backbone SHA-256 {hashes[one]}; heads SHA-256 {hashes[other]}" in str(told)
    assert "a backbone not known here, heads that are not the published ones" in str(told)
    told = load([whole])[1]
    assert list(told.files) == ["backbone and heads"]


def test_published_weights_are_known_and_old_heads_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, heads = parts(random_weights(ALEX))
    digest = hashlib.sha256()
    for name in sorted(heads):
        digest.update(heads[name].numpy().tobytes())
    print16 = digest.hexdigest()[:16]
    one, other = saved(tmp_path / "a.pth", backbone), saved(tmp_path / "h.pth", heads)
    known = core.lpips.weights
    monkeypatch.setattr(known, "PUBLISHED", {print16: "vgg"})
    assert not load([one, other])[1].heads_known  # of another network
    monkeypatch.setattr(known, "PUBLISHED", {print16: "alex"})
    assert load([one, other])[1].heads_known
    begins = hashlib.sha256(one.read_bytes()).hexdigest()[:8]
    renamed = Layout(ALEX.key, ALEX.name, ALEX.steps, ALEX.smallest, f"alexnet-owt-{begins}")
    monkeypatch.setattr(known, "LAYOUTS", (renamed, VGG, SQUEEZE))
    assert "torchvision's backbone, the published heads" in str(load([one, other])[1])
    monkeypatch.setattr(known, "OLD", {print16})
    with pytest.raises(LpipsError, match=r"h\.pth: expected heads of version 0\.1, found .* 0\.0"):
        load([one, other])


def refusal(*files: Path) -> str:
    with pytest.raises(LpipsError) as caught:
        load(files)
    return str(caught.value)


def test_a_wrong_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    backbone, heads = parts(random_weights(SQUEEZE))
    b, h = saved(tmp_path / "b.pth", backbone), saved(tmp_path / "h.pth", heads)
    assert refusal(b) == f"b.pth: expected backbone and heads of LPIPS, found no heads. {HOW}"
    assert refusal(h) == f"h.pth: expected backbone and heads of LPIPS, found no backbone. {HOW}"
    assert "found no backbone" in refusal()
    twice = saved(tmp_path / "twice.pth", {**backbone, **heads})
    assert "b.pth and twice.pth: expected one file with the backbone" in refusal(b, twice)
    assert "No such file" in refusal(tmp_path / "nothing.pth")
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    assert "text.pth: expected weights saved with torch" in refusal(text)
    harmful = tmp_path / "harmful.pth"
    torch.save({"run": print}, harmful)
    assert "holds other Python objects" in refusal(harmful)
    none = saved(tmp_path / "none.pth", {"weight": torch.zeros(2)})
    assert "found neither among 1 entries" in refusal(none)
    assert "found neither among 0 entries" in refusal(saved(tmp_path / "list.pth", {}))

    alex = saved(tmp_path / "alex.pth", parts(random_weights(ALEX))[1])
    said = refusal(b, alex)
    assert "alex.pth: expected the linear heads of SqueezeNet 1.1, as b.pth is one" in said
    assert "found those of AlexNet. Give the file squeeze.pth" in said
    odd = saved(tmp_path / "odd.pth", {head(0): torch.zeros(1, 5, 1, 1)})
    assert "found those of no known network" in refusal(b, odd)

    other = {**backbone, "features.12.expand3x3.bias": torch.zeros(255)}
    said = refusal(saved(tmp_path / "other.pth", other), h)
    assert "another network (it differs from SqueezeNet 1.1 at 12.expand3x3.bias)" in said
    longer = {**backbone, "features.13.weight": torch.zeros(1)}
    assert "differs from SqueezeNet 1.1 at 13" in refusal(saved(tmp_path / "l.pth", longer), h)
    whole = {**backbone, "features.0.bias": torch.zeros(64, dtype=torch.int64)}
    assert "differs from SqueezeNet 1.1 at 0.bias" in refusal(saved(tmp_path / "i.pth", whole), h)
    backbone["features.0.bias"][3] = torch.nan
    said = refusal(saved(tmp_path / "nan.pth", backbone), h)
    assert "nan.pth: expected finite numbers, found others in 0.bias" in said
