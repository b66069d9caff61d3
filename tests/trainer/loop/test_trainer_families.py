"""Every family is trained by the same loop: resumed exactly, delivered, evaluated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from trainer_cohort import tiny_plan, write_cohort

from core.errors import UserError
from core.models.base.network import stacked
from core.models.bundle import header
from core.models.family import FAMILIES
from core.models.weights import build, load
from trainer.errors import TrainerError
from trainer.evaluation.evaluate import evaluate
from trainer.loop import checkpoint
from trainer.loop.discriminator import (
    MultiScaleDiscriminator,
    PatchDiscriminator,
    discriminators,
)
from trainer.loop.families import STEPPERS
from trainer.loop.loop import train
from trainer.loop.losses import adversarial, composite, feature_distance
from trainer.loop.schedule import Weights
from trainer.loop.tiles import Batch
from trainer.plan.families import with_family, with_modalities
from trainer.plan.presets import preset
from trainer.plan.schema import PRIVATE, Plan, load_plan, plan_from_dict, settings_for
from trainer.run.folder import RunFolder, ask, read_events

NEW = ("pix2pix", "spade", "resvit", "unet")
SMALL: dict[str, dict[str, object]] = {
    "pix2pix": {"model.pools": 3, "model.base_features": 4},
    "spade": {"model.pools": 2},
    "resvit": {},
    "unet": {"model.pools": 2},
}


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort")


def plan_of(family: str, cohort: Path, **settings: object) -> Plan:
    tile = [32, 32] if family == "resvit" else [16, 16]  # it halves four times, and not to a pixel
    tiny = tiny_plan(cohort, optimiser__steps=12, log__validate_steps=6, model__tile=tile)
    chosen = {k.replace("__", "."): v for k, v in settings.items()}
    plan = with_family(tiny, family)
    return plan.override({**SMALL[family], "loss.gan_scales": 1, **chosen})


def test_every_family_can_be_trained() -> None:
    assert set(STEPPERS) == set(FAMILIES)


@pytest.mark.parametrize("family", NEW)
def test_stopped_and_resumed_it_ends_with_the_same_weights(
    family: str, cohort: Path, tmp_path: Path
) -> None:
    plan = plan_of(family, cohort)
    whole = train(plan, tmp_path / "whole", say=quiet)
    assert whole.state == "finished"
    calls = []

    def stop(line: str) -> None:
        calls.append(line)
        if line.startswith("step 7"):
            ask(tmp_path / "parts", "pause")

    first = train(plan, tmp_path / "parts", say=stop)
    assert first.step < 12
    assert train(plan, tmp_path / "parts", resume=True, say=quiet).state == "finished"
    states = [checkpoint.latest(tmp_path / run / "checkpoints") for run in ("whole", "parts")]
    assert states[0] is not None
    assert states[1] is not None
    for part in ("model", "average"):
        for key, value in states[0][part].items():
            assert torch.equal(value, states[1][part][key]), key
    bundle, _ = load(tmp_path / "whole" / "model.safetensors")
    assert (bundle.config, bundle.config.family) == (plan.model, family)
    assert (bundle.temperature, bundle.draws(1)) == (0, 0)  # whatever its discriminator judged
    assert bundle.card["training"]["plan"]["family"] == family
    told = [e for e in read_events(tmp_path / "whole") if e["event"] == "validation"]
    directions = {k for e in told for k in e if k.startswith("psnr/") and "expected" not in k}
    wanted = {"psnr/T2>iUS"} if family != "resvit" else {"psnr/T2>iUS", "psnr/iUS>T2"}
    assert wanted <= directions
    assert ("psnr/iUS>T2" in directions) == (family == "resvit")


@pytest.mark.parametrize("family", NEW)
def test_it_learns(family: str, cohort: Path, tmp_path: Path) -> None:
    """The images come nearer to the truth, discriminator or none."""
    plan = plan_of(
        family, cohort, optimiser__steps=60, optimiser__rate=2e-3, optimiser__rate_end=1e-3,
        optimiser__give_up=0, optimiser__ema=0.5, log__every=5,
        data__flip=0.0, data__rotate=0.0, data__scale=0.0,
    )  # fmt: skip
    train(plan, tmp_path / "run", say=quiet)
    l1 = [e["l1/T2/iUS"] for e in read_events(tmp_path / "run") if e["event"] == "step"]
    assert l1[-1] < 0.8 * l1[0]


def test_resvit_has_two_stages(cohort: Path, tmp_path: Path) -> None:
    plan = plan_of("resvit", cohort, loss__transformers_start=0.5)
    with RunFolder.create(tmp_path / "run", plan):
        pass
    begun = build(plan.model).state_dict()
    train(plan.override({"optimiser.steps": 24, "optimiser.epochs": 0}), tmp_path / "a", say=quiet)
    _, whole = load(tmp_path / "a" / "model.safetensors")
    assert float(whole.state_dict()["with_transformers"]) == 1
    model = build(plan.model)
    step = STEPPERS["resvit"](model, discriminators(plan, torch.device("cpu")), plan, {("T2",)})
    weights = Weights(rate=1e-3, beta=0.0, gan=1.0, part=0.4)
    step.generator(batch_of(plan, 2), 0, 0, weights)
    assert float(model.state_dict()["with_transformers"]) == 0
    unused = [p.grad for p in model.transformer.parameters()]  # type: ignore[union-attr]
    assert unused == [None] * len(unused)
    step.generator(batch_of(plan, 2), 0, 0, replace(weights, part=0.6))
    assert float(model.state_dict()["with_transformers"]) == 1
    assert all(p.grad is not None for p in model.transformer.parameters())  # type: ignore[union-attr]
    assert begun.keys() == model.state_dict().keys()


def batch_of(plan: Plan, rows: int, dtype: torch.dtype = torch.float32) -> Batch:
    generator = torch.Generator().manual_seed(1)
    shape = (rows, 1, *plan.model.tile)
    fov = torch.zeros(shape, dtype=dtype)
    fov[:, :, 3:12, 2:14] = 1
    images = {
        m: torch.where(fov > 0, torch.rand(shape, generator=generator, dtype=dtype) * 1.8 - 0.9, -1)
        for m in plan.model.modalities
    }
    return Batch(images, fov, {m: torch.ones(rows, dtype=torch.bool) for m in images})


def test_a_run_begins_with_imagenet_weights(cohort: Path, tmp_path: Path) -> None:
    plan = plan_of("resvit", cohort, transformer_from=str(tmp_path / "none.npz"))
    with pytest.raises(UserError, match=r"none\.npz: expected an \.npz"):
        train(plan, tmp_path / "run", say=quiet)
    told = {k: v for k, v in plan.to_dict().items() if k not in PRIVATE}
    assert "none.npz" not in str(told)
    with pytest.raises(TrainerError, match="transformer_from is for a resvit"):
        plan_of("unet", cohort, transformer_from="vit.npz")


def test_the_generator_of_pix2pix_follows_its_objective(cohort: Path) -> None:
    """cross entropy of D(x, G(x)) + λ |y - G(x)|, over the view (Isola et al., Eq. 1, 3 and 4)."""
    plan = plan_of("pix2pix", cohort, data__batch=2, model__dropout=0.0)
    device = torch.device("cpu")
    torch.manual_seed(0)
    model = build(plan.model).double()
    critics: dict[str, Any] = {k: d.double() for k, d in discriminators(plan, device).items()}
    assert set(critics) == {"iUS"}  # it makes nothing else
    batch = batch_of(plan, 2, torch.float64)
    stepper = STEPPERS["pix2pix"](model, critics, plan, {plan.model.modalities})
    terms, fakes = stepper.generator(batch, 0, 0, Weights(rate=1e-3, beta=0.0, gan=1.0))
    made = composite(model.synthesise({"T2": batch.images["T2"]}, ["iUS"])["iUS"], batch.fov)
    source = composite(batch.images["T2"], batch.fov)
    pair = torch.cat([made, torch.zeros_like(made), source], dim=1)
    logits = critics["iUS"](pair)
    weight = F.adaptive_avg_pool2d(batch.fov, logits.shape[2:])
    gan = float((F.softplus(-logits) * weight).mean().detach())
    l1 = 100 * float(((made - batch.images["iUS"]).abs() * batch.fov).mean().detach())
    assert terms["weighted/gan"] == pytest.approx(gan, rel=1e-9)
    assert terms["weighted/l1"] == pytest.approx(l1, rel=1e-9)
    assert terms["loss"] == pytest.approx(gan + l1, rel=1e-9)
    told = stepper.discriminator(batch, fakes)
    real = torch.cat([composite(batch.images["iUS"], batch.fov), pair[:, 1:]], dim=1)
    wanted = 0.5 * float(
        ((F.softplus(-critics["iUS"](real)) + F.softplus(logits)) * weight).mean().detach()
    )
    assert told["d/iUS/loss"] == pytest.approx(wanted, rel=1e-9)


def test_the_step_of_a_divided_batch_is_that_of_the_whole(cohort: Path) -> None:
    plan = plan_of("pix2pix", cohort, data__batch=4, model__dropout=0.0)
    batch, found = batch_of(plan, 4, torch.float64), []
    for size in (4, 1):
        torch.manual_seed(0)
        model = build(plan.model).double()
        critics = {k: d.double() for k, d in discriminators(plan, torch.device("cpu")).items()}
        stepper = STEPPERS["pix2pix"](model, critics, plan, {plan.model.modalities})
        for first in range(0, 4, size):
            piece = batch.rows(first, first + size)
            _, fakes = stepper.generator(piece, first, 3, Weights(1e-3, 0.0, 1.0))
            stepper.discriminator(piece, fakes)
        judges = [p.grad for p in critics["iUS"].parameters() if p.grad is not None]
        found.append([*(p.grad for p in model.parameters()), *judges])
    for a, b in zip(*found, strict=True):
        assert a is not None
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["lsgan", "cross_entropy", "hinge"])
def test_adversarial_losses_by_their_formulas(kind: str) -> None:
    scores = torch.tensor([[[[2.0, -0.5], [0.3, 0.9]]]])
    fov = torch.ones(1, 1, 4, 4)
    fov[..., :2, :2] = 0  # the first cell is outside
    inside = scores.flatten()[1:]
    wanted = {
        "lsgan": ((inside - 1) ** 2, inside**2, (inside - 1) ** 2),
        "cross_entropy": (
            -torch.log(torch.sigmoid(inside)),
            -torch.log(1 - torch.sigmoid(inside)),
            -torch.log(torch.sigmoid(inside)),
        ),
        "hinge": ((1 - inside).clamp_min(0), (1 + inside).clamp_min(0), -inside),
    }[kind]
    asked = ({"real": True}, {"real": False}, {"real": True, "generator": True})
    for values, how in zip(wanted, asked, strict=True):
        found = adversarial(scores, fov, kind, **how)
        assert float(found) == pytest.approx(float(values.sum()) / 4, rel=1e-5)


def test_two_scales_and_their_inner_maps() -> None:
    torch.manual_seed(0)
    critic = MultiScaleDiscriminator((64, 64), 2, 4, channels=3, scales=2)
    image = torch.rand(2, 3, 64, 64)
    maps = critic.maps(image)
    assert [len(scale) for scale in maps] == [4, 4]
    assert [tuple(scale[-1].shape) for scale in maps] == [(2, 1, 14, 14), (2, 1, 6, 6)]
    first = critic.scales[0]
    assert isinstance(first, PatchDiscriminator)
    assert torch.equal(maps[0][-1], first(image))
    coarse = F.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
    assert torch.equal(maps[1][-1], critic.scales[1](coarse))
    other = critic.maps(image.flip(3))
    wanted = sum(
        (a - b).abs().mean(dim=(1, 2, 3))
        for mine, theirs in zip(maps, other, strict=True)
        for a, b in zip(mine[:3], theirs[:3], strict=True)
    ) / 2  # fmt: skip
    assert isinstance(wanted, Tensor)
    torch.testing.assert_close(feature_distance(maps, other), wanted)
    with pytest.raises(TrainerError, match="score map"):
        MultiScaleDiscriminator((64, 64), 3, 4, scales=3)


def test_spade_learns_from_the_inner_maps(cohort: Path) -> None:
    plan = plan_of("spade", cohort)
    assert (plan.loss.feature_matching, plan.loss.gan_loss, plan.loss.l1) == (10, "hinge", 10)
    critics: dict[str, Any] = discriminators(plan, torch.device("cpu"))
    stepper = STEPPERS["spade"](build(plan.model), critics, plan, {plan.model.modalities})
    terms, _ = stepper.generator(batch_of(plan, 2), 0, 0, Weights(1e-3, 0.0, 1.0))
    assert terms["weighted/features"] > 0
    parts = [terms[f"weighted/{name}"] for name in ("l1", "gan", "features")]
    assert terms["loss"] == pytest.approx(sum(parts), rel=1e-5)


@pytest.mark.parametrize("family", NEW)
def test_plans_of_a_family_are_saved_and_explained(family: str, tmp_path: Path) -> None:
    for name in ("smoke", "quick", "paper"):
        plan = with_family(preset(name, "somewhere"), family)
        plan.save(tmp_path / "plan.json")
        assert load_plan(tmp_path / "plan.json") == plan
        assert build_on_paper(plan) > 0
    assert f"{family}" in settings_for(family)["family"].choices
    assert not set(settings_for(family)) - set(flat(plan.to_dict()))
    again = plan.override({"data.batch": 3})
    assert (again.family, again.model, again.data.batch) == (family, plan.model, 3)
    other = plan.override({"family": "mhvae"})
    assert other.model.family == "mhvae"
    with pytest.raises(TrainerError, match=r"model\.fusion"):
        plan.override({"model.fusion": "gaussian"})
    with pytest.raises(TrainerError, match="describes a model of family mhvae"):
        replace(plan, model=Plan().model)
    values = plan.to_dict()
    with pytest.raises(TrainerError, match="family must be one of"):
        plan_from_dict({**values, "family": "diffusion"}, "plan.json")


def test_a_family_leaves_nothing_behind() -> None:
    """From SPADE to another and back to an MHVAE: no setting of a former family stays."""
    start = preset("quick", "somewhere")
    spade = with_family(start, "spade", "T2")
    assert with_family(spade, "pix2pix") == with_family(start, "pix2pix", "T2")
    assert with_family(spade, "unet").optimiser.kind == "adamax"
    assert with_family(with_family(spade, "resvit"), "mhvae") == start
    assert with_family(start, "mvae").model.levels == 1
    assert (spade.loss.gan_scales, with_family(preset("smoke"), "spade").loss.gan_scales) == (2, 1)
    with pytest.raises(TrainerError, match="makes every modality"):
        with_family(start, "resvit", "T2")
    other = with_modalities(spade, ("iUS", "FLAIR"))
    assert load_dir(other) == ("FLAIR", "iUS")
    assert load_dir(with_modalities(spade, ("iUS", "T2", "FLAIR"))) == ("iUS", "T2")


def flat(values: dict[str, Any]) -> list[str]:
    found = []
    for name, value in values.items():
        inner = isinstance(value, dict) and name in ("data", "model", "loss", "optimiser", "log")
        found += [f"{name}.{n}" for n in value] if inner else [name]
    return found


def build_on_paper(plan: Plan) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build(plan.model).parameters())


def test_one_evaluation_of_all_families(cohort: Path, tmp_path: Path) -> None:
    """Each is scored in the directions it serves, and in no other."""
    runs = []
    for family in ("pix2pix", "resvit"):
        run = tmp_path / family
        train(plan_of(family, cohort, optimiser__steps=2), run, say=quiet)
        runs.append(run / "model.safetensors")
    result = evaluate(runs, cohort, split=tmp_path / "pix2pix" / "split.json")
    found = {(r.model, r.inputs, r.target) for r in result.rows}
    assert {f for f in found if f[0] == "pix2pix"} == {("pix2pix", ("T2",), "iUS")}
    assert len({f for f in found if f[0] == "resvit"}) == 6
    assert header(runs[0]).config.family == "pix2pix"


def test_a_model_of_the_other_direction(cohort: Path, tmp_path: Path) -> None:
    plan = with_family(tiny_plan(cohort), "unet", "T2").override(
        {"model.pools": 2, "optimiser.steps": 2}
    )
    assert load_dir(plan) == ("iUS", "T2")
    assert train(plan, tmp_path / "run", say=quiet).state == "finished"
    bundle = header(tmp_path / "run" / "model.safetensors")
    assert bundle.config.serves(("iUS",), "T2")
    tuned = replace(bundle, path=tmp_path / "run" / "model.safetensors")
    assert tuned.config == plan.model
    assert stacked({"T2": torch.ones(1, 1, 2, 2)}, ("iUS", "T2")).sum() == 4


def load_dir(plan: Plan) -> tuple[str, str]:
    config: Any = plan.model
    return config.inputs[0], config.target
