"""Import of the authors' checkpoints: both key styles, what is inferred, asked for and refused.

The expected key names and shapes are written out here from a description of the format; agreement
of the images with the authors' own code is measured in ``benchmarks/authors.py``.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from app.cli import main
from core.case import Case
from core.grid import Grid
from core.io import write
from core.models.base.config import ModelError
from core.models.bundle import header
from core.models.mhvae.config import MHVAEConfig
from core.models.published.checkpoint import Unstated, import_checkpoint
from core.models.weights import load
from core.synthesis.request import Request, prepare_input
from core.synthesis.synthesize import Engine
from core.volume import Volume

BASE, WIDEST, POOLS, SIDE = 4, 8, 2, 3  # bottleneck 3x3: tile 12x12
STATED = Unstated(
    tile=(12, 12), spacing=0.5, squeeze_excitation=True, residual=True, last_activation="tanh",
    clamp=10.0, decoders=("iUS", "T2"), orientation="LPS",
)  # fmt: skip


def checkpoint(
    new: bool, final: int = 2, blocks: int = 2, hierarchical: bool = True
) -> dict[str, Tensor]:
    """A checkpoint of a small model in the authors' key names, MHVAE or MVAE."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def put(key: str, *shape: int) -> None:
        state[key] = 0.1 * torch.randn(*shape, generator=generator)

    def conv(key: str, out: int, into: int, side: int, bias: bool = True) -> None:
        put(f"{key}.weight", out, into, side, side)
        if bias:
            put(f"{key}.bias", out)

    def normed(key: str, *shape: int) -> None:
        g, v = (
            ("parametrizations.weight.original0", "parametrizations.weight.original1")
            if new
            else ("weight_g", "weight_v")
        )
        put(f"{key}.{g}", shape[0], *(1 for _ in shape[1:]))
        put(f"{key}.{v}", *shape)

    def gates(key: str, channels: int) -> None:
        for index, (out, into) in (("0", (4, channels)), ("2", (channels, 4))):
            put(f"{key}.{index}.weight", out, into)
            put(f"{key}.{index}.bias", out)

    widths = [min(BASE << d, WIDEST) for d in range(POOLS + 1)]
    names = ("us", "t2")
    for m in names:
        conv(f"first_conv.{m}", BASE, 1, 3)
        for d, width in enumerate(widths):
            for n in "01":
                conv(f"conv_blocks_context.{m}.{d}.conv_{n}", width, width, 3)
            gates(f"conv_blocks_context.{m}.{d}.se.se", width)
            if d < POOLS:
                conv(f"td.{m}.{d}", widths[d + 1], width, 3)
    flat = widths[-1] * SIDE * SIDE
    put("bottleneck_down.linear.bias", 4 * WIDEST)
    normed("bottleneck_down.linear", 4 * WIDEST, flat)
    put("bottleneck_up.linear.bias", WIDEST * SIDE * SIDE)
    normed("bottleneck_up.linear", WIDEST * SIDE * SIDE, 2 * WIDEST)
    above = WIDEST
    for i, d in enumerate(reversed(range(POOLS))):
        width = widths[d]
        conv(f"tu.{i}.conv_1", width, above, 3, bias=False)
        cell = f"conv_blocks_localization.{i}"
        conv(f"{cell}.conv_0", 6 * width, width, 3)
        conv(f"{cell}.dw_conv_1", 6 * width, 1, 5)
        gates(f"{cell}.se_2.se", 6 * width)
        conv(f"{cell}.conv_2", width, 6 * width, 1)
        conv(f"qz.{i}.conv_0", width, 2 * width if hierarchical else width, 3)
        conv(f"qz.{i}.conv_1", width, width, 3)
        gates(f"qz.{i}.se.se", width)
        normed(f"qz.{i}.last_conv", width if hierarchical else width // 2, width, 1, 1)
        if hierarchical:
            normed(f"pz.{i}", width, width, 1, 1)
        above = width // 2
    for position_in_file, m in enumerate(names):
        prefix = f"final_blocks.{m if new else position_in_file}"
        shift = 0
        if final != above:
            conv(f"{prefix}.res.0", final, above, 1)
            shift = 1
        for b in range(blocks):
            for position in "15":
                conv(f"{prefix}.res.{b + shift}.conv_block.{position}", final, final, 3)
        conv(f"{prefix}.convt2", final, final, 7)
        conv(f"{prefix}.convt3", 1, final, 7)
    return state


def saved(folder: Path, state: object) -> Path:
    path = folder / "CP_main_1000.pth"
    torch.save(state, path)
    return path


@pytest.mark.parametrize("new", [True, False], ids=["2025 keys", "2023 keys"])
@pytest.mark.parametrize("final", [2, 6], ids=["same width", "1x1 conv first"])
def test_both_key_styles_are_read_and_inferred(tmp_path: Path, new: bool, final: int) -> None:
    state = checkpoint(new, final, blocks=3)
    bundle, model = import_checkpoint(saved(tmp_path, state), stated=STATED)
    config = bundle.config
    assert isinstance(config, MHVAEConfig)
    assert config.modalities == ("iUS", "T2")
    assert (config.base_features, config.max_features, config.pools) == (BASE, WIDEST, POOLS)
    assert (config.image_features, config.final_blocks, config.fusion) == (final, 3, "authors")
    own = model.state_dict()
    decoder = state["final_blocks.t2.convt3.weight" if new else "final_blocks.1.convt3.weight"]
    assert torch.equal(own["image_decoders.T2.conv1.weight"], decoder)
    assert torch.equal(own["encoders.iUS.first.weight"], state["first_conv.us.weight"])
    last = f"final_blocks.{'us' if new else 0}.res.{2 + (final != 2)}.conv_block.5.bias"
    assert torch.equal(own["image_decoders.iUS.blocks.2.conv1.bias"], state[last])
    assert sum(p.numel() for p in model.parameters()) == sum(t.numel() for t in state.values())
    out = model({"T2": torch.zeros(1, 1, 12, 12)}, temperature=0.0)
    assert out.images["iUS"].isfinite().all()


def test_their_mvae_is_imported_and_goes_through_file_and_synthesis(tmp_path: Path) -> None:
    state = checkpoint(new=True, hierarchical=False)
    out = tmp_path / "mvae.safetensors"
    words = ["import-weights", str(saved(tmp_path, state)), "--authors-defaults"]
    assert main([*words, "--orientation", "LPS", "--out", str(out)]) == 0
    bundle, model = load(out)
    assert isinstance(bundle.config, MHVAEConfig)
    assert bundle.config.family == "mvae"
    assert bundle.config.fusion == "authors"
    own = model.state_dict()
    assert torch.equal(own["levels.0.head.conv0.weight"], state["qz.0.conv_0.weight"])
    assert torch.equal(own["levels.1.head.gates.excite.bias"], state["qz.1.se.se.2.bias"])
    assert sum(p.numel() for p in model.parameters()) == sum(t.numel() for t in state.values())
    grid = Grid((12, 14, 3), np.diag([0.5, 0.5, 0.5, 1.0]))
    voxels = np.random.default_rng(0).uniform(1, 9, grid.shape).astype(np.float32)
    case = Case("a", {"T2": Volume(voxels, grid, "T2", "t2")})
    request = Request(("T2",), ("iUS",), fov="whole")
    made = Engine(model, bundle).run(case, prepare_input(case, bundle, request), request)
    assert np.isfinite(made.volumes["iUS"].voxels).all()
    assert made.volumes["iUS"].voxels.std() > 0


def test_the_orientation_is_stated_by_letters_or_by_a_training_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = saved(tmp_path, checkpoint(new=True)), tmp_path / "m.safetensors"
    words = ["import-weights", str(path), "--authors-defaults", "--out", str(out)]
    assert main(words) == 2
    assert "the orientation of its slices (--orientation" in capsys.readouterr().err
    assert main([*words, "--orientation", "LPQ"]) == 2
    assert "three letters such as LPS" in capsys.readouterr().err
    grid = Grid((9, 8, 7), np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]))
    voxels = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    write(Volume(voxels, grid, "T2", "t2"), tmp_path / "t2.nii.gz")
    told = ["--orientation-of", str(tmp_path / "t2.nii.gz")]
    assert main([*words, *told, "--orientation", "LPS"]) == 2
    assert "not both" in capsys.readouterr().err
    assert main([*words, *told, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["slices"].startswith("PSR: sagittal slices, rows to")
    made = header(out).preprocessing
    assert (made.plane, made.orientation) == ("sagittal", "PSR")


def test_what_the_weights_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, checkpoint(new=False))
    asked = r"--tile.*--spacing.*--orientation.*--residual.*--decoders.*defaults"
    with pytest.raises(ModelError, match=asked):
        import_checkpoint(path)
    with pytest.raises(ModelError, match="do not tell the orientation of its slices"):
        import_checkpoint(path, authors_defaults=True)
    said = Unstated(orientation="LPS")
    bundle, _ = import_checkpoint(path, stated=said, authors_defaults=True)
    assert bundle.config.tile == (12, 12)
    assert bundle.card["assumed"] == "authors' defaults"


def test_stated_decoders_swap_numbered_outputs(tmp_path: Path) -> None:
    state = checkpoint(new=False)
    swapped = Unstated(decoders=("T2", "iUS"), orientation="LPS")
    _, model = import_checkpoint(saved(tmp_path, state), stated=swapped, authors_defaults=True)
    first = state["final_blocks.0.convt3.weight"]
    assert torch.equal(model.state_dict()["image_decoders.T2.conv1.weight"], first)


def test_a_wrong_tile_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, checkpoint(new=True))
    wrong = Unstated(tile=(16, 16), orientation="LPS")
    with pytest.raises(ModelError, match="bottleneck of 16 pixels, the weights have 9"):
        import_checkpoint(path, stated=wrong, authors_defaults=True)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda s: s.update({"attention.weight": torch.zeros(1)}), "attention.weight belongs"),
        (lambda s: s.pop("tu.0.conv_1.weight"), "do not fit the architecture"),
        (lambda s: s.update({"td.us.0.weight": torch.zeros(1)}), "do not fit the architecture"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("pz")], "do not fit"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("final")], "no image decoders"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("first")], "expected an MHVAE"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("td")], "expected an MHVAE"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(tmp_path: Path, spoil: object, sentence: str) -> None:
    state = checkpoint(new=True)
    assert callable(spoil)
    spoil(state)
    with pytest.raises(ModelError, match=sentence):
        import_checkpoint(saved(tmp_path, state), stated=STATED)


class Trap:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


def test_pickled_objects_are_not_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match="Nothing was loaded"):
        import_checkpoint(saved(tmp_path, {"first_conv.us.weight": Trap()}))
    assert "executed" not in capsys.readouterr().out
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ModelError, match="damaged"):
        import_checkpoint(tmp_path / "text.pth")
    with pytest.raises(ModelError, match="no such checkpoint"):
        import_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(ModelError, match="dictionary of tensors"):
        import_checkpoint(saved(tmp_path, [torch.zeros(1)]))


def test_the_command_says_what_the_weights_tell_and_what_they_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, checkpoint(new=False))
    assert main(["import-weights", str(path), "--inspect", "--events"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["event"] == "inspected"
    assert told["modalities"] == ["iUS", "T2"]
    assert told["defaults"]["decoders"] == "iUS,T2"
    assert main(["import-weights", str(path)]) == 2
    out = tmp_path / "model.safetensors"
    words = [f"--{k}={v}" for k, v in told["defaults"].items()] + ["--orientation=LPS"]
    assert main(["import-weights", str(path), "--out", str(out), *words, "--events"]) == 0
    assert json.loads(capsys.readouterr().out) == {"event": "imported"}
    assert header(out).card["assumed"] == "stated at import"
