"""The adversarial side: a critic that sees contrast, and a log that tells its balance right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F
from trainer_cohort import CONFIG

from core.models.mhvae.model import MHVAE
from trainer.loop.discriminator import PatchDiscriminator, discriminators
from trainer.loop.losses import adversarial, composite, local_mean, mean_score
from trainer.loop.schedule import Weights
from trainer.loop.step import Stepper
from trainer.loop.terms import Terms, means
from trainer.loop.tiles import Batch
from trainer.plan.patches import score_map
from trainer.plan.schema import Plan

WEIGHTS = Weights(rate=1e-3, beta=0.3, gan=2.0)


def batch_of(names: tuple[str, ...], rows: int, missing: tuple[tuple[int, str], ...] = ()) -> Batch:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    fov = torch.zeros(rows, 1, 16, 16, dtype=torch.float64)
    fov[:, :, 4:9, 3:8] = 1
    images, present = {}, {}
    for m in names:
        x = torch.rand(rows, 1, 16, 16, generator=generator, dtype=torch.float64) * 1.9 - 0.95
        images[m], present[m] = x, torch.ones(rows, dtype=torch.bool)
    for row, m in missing:
        images[m][row] = -1
        present[m][row] = False
    return Batch(images, fov, present)


@pytest.mark.parametrize(("norm", "sees"), [("spectral", True), ("instance", False)])
def test_contrast_is_seen_with_spectral_norms(norm: str, sees: bool) -> None:
    """One texture, at full and at half contrast: what instance norms are there to remove."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    critic = PatchDiscriminator((32, 32), 2, 8, norm)
    optimiser = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    generator = torch.Generator().manual_seed(1)
    fov = torch.ones(8, 1, 32, 32)
    gap = 0.0
    for _ in range(70):
        strong = 1.2 * F.avg_pool2d(torch.randn(8, 1, 34, 34, generator=generator), 3, 1)
        scores = critic(strong), critic(0.5 * strong)
        gap = float((mean_score(scores[0], fov) - mean_score(scores[1], fov)).mean().detach())
        optimiser.zero_grad()
        losses = [adversarial(s, fov, "lsgan", real=n == 0).mean() for n, s in enumerate(scores)]
        (losses[0] + losses[1]).backward()
        optimiser.step()
        critic.follow()
    assert gap > 0.5 if sees else gap < 0.2


def test_a_score_depends_on_the_weights_alone() -> None:
    torch.manual_seed(0)
    critic = PatchDiscriminator((32, 32), 2, 8)
    image = torch.rand(2, 1, 32, 32)
    first = critic(image)
    with torch.no_grad():  # the weights move on, and their singular vectors do not by themselves
        for parameter in critic.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.2)
    scores = [critic(image) for _ in range(3)]
    assert not torch.allclose(first, scores[0])
    assert all(torch.equal(scores[0], s) for s in scores)
    for _ in range(60):
        critic.follow()
    assert not torch.allclose(scores[0], critic(image))
    weight = critic.cells[2].weight
    assert isinstance(weight, Tensor)
    assert float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)) == pytest.approx(
        1, abs=0.02
    )


def test_the_plan_says_which_norm() -> None:
    plan = replace(Plan(model=CONFIG), loss=replace(Plan().loss, gan=1.0, gan_layers=1))
    device = torch.device("cpu")
    for norm, count in (("spectral", 0), ("instance", 1)):
        critics = discriminators(replace(plan, loss=replace(plan.loss, gan_norm=norm)), device)
        assert set(critics) == {"iUS", "T2"}
        layers = critics["iUS"].modules()
        assert sum(isinstance(layer, nn.InstanceNorm2d) for layer in layers) == count
        critic = critics["iUS"]
        assert isinstance(critic, PatchDiscriminator)
        assert critic.spectral == (norm == "spectral")
    assert not discriminators(replace(plan, loss=replace(plan.loss, gan=0.0)), device)
    assert "cells.0.weight" in critics["iUS"].state_dict()  # as in runs of the first schema


class Judge(nn.Module):
    """Scores every patch by whether its image is a fake, and every patch outside the view 9."""

    def __init__(self, real: float, fake: float, images: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.tensor([real, fake], dtype=torch.float64))
        self.known = images

    def forward(self, image: Tensor) -> Tensor:
        known = {x.numpy().tobytes() for x in self.known}
        kinds = [0 if x.detach().numpy().tobytes() in known else 1 for x in image]
        inside = F.avg_pool2d((image.detach() > -1).double(), 4)
        return torch.where(inside > 0, self.scores[kinds][:, None, None, None], 9.0)

    def maps(self, image: Tensor) -> list[list[Tensor]]:
        return [[self(image)]]


@pytest.mark.parametrize("names", [("iUS", "T2"), ("iUS", "T2", "FLAIR")])
def test_the_log_tells_the_mean_scores_whatever_is_missing(names: tuple[str, ...]) -> None:
    """Per modality: over the rows that have it, over all subsets without it, inside the view."""
    config = replace(CONFIG, modalities=names)
    plan = Plan(model=config, seed=5)
    plan = replace(plan, data=replace(plan.data, batch=4))
    batch = batch_of(names, 4, missing=((1, "T2"), (2, "T2")))
    torch.manual_seed(0)
    model = MHVAE(config).double()
    critics = {m: Judge(0.8, 0.3, composite(batch.images[m], batch.fov)) for m in names}
    presence = {names, tuple(m for m in names if m != "T2")}
    steps = []
    for step in range(2):
        terms: Terms = {}
        for first in (0, 1, 3):  # micro-batches, of which one has no T2 at all
            rows = batch.rows(first, first + (1 if first != 1 else 2))
            stepper = Stepper(model, critics, plan, presence)  # type: ignore[arg-type]
            more, fakes = stepper.generator(rows, first, step, WEIGHTS)
            more |= stepper.discriminator(rows, fakes)
            terms = {n: terms.get(n, 0.0) + more.get(n, 0.0) for n in {*terms, *more}}
        steps.append(terms)
    found = means(steps)
    for m in names:
        assert found[f"d/{m}/real"] == pytest.approx(0.8)
        assert found[f"d/{m}/fake"] == pytest.approx(0.3)
    assert not any("share" in name for name in found)
    # L1 as well: the mean of the rows that have a T2, not of all.
    terms = {}
    for first, last in ((0, 1), (1, 3), (3, 4)):
        rows, plain = batch.rows(first, last), replace(WEIGHTS, mean_path=1.0)
        stepper = Stepper(model, critics, plan, presence)  # type: ignore[arg-type]
        more, fakes = stepper.generator(rows, first, 0, plain)
        assert fakes == []  # the mean path is nobody's image
        terms = {n: terms.get(n, 0.0) + more.get(n, 0.0) for n in {*terms, *more}}
    with torch.no_grad():
        out = model({"iUS": batch.images["iUS"]}, temperature=0.0)
    wanted = [
        float((out.images["T2"] - batch.images["T2"])[row][batch.fov[row] > 0].abs().mean())
        for row in (0, 3)
    ]
    assert means([terms])["l1/iUS/T2"] == pytest.approx(np.mean(wanted), rel=1e-9)


def test_the_log_tells_what_each_term_weighs_and_how_hard_it_pulls() -> None:
    plan = Plan(model=CONFIG, seed=5)
    plan = replace(plan, data=replace(plan.data, batch=2))
    batch = batch_of(CONFIG.modalities, 2)
    torch.manual_seed(0)
    model = MHVAE(CONFIG).double()
    critics = {m: PatchDiscriminator((16, 16), 1, 4).double() for m in CONFIG.modalities}
    stepper = Stepper(model, critics, plan, {CONFIG.modalities})
    terms, _ = stepper.generator(batch, 0, 0, WEIGHTS)
    parts = [terms[f"weighted/{name}"] for name in ("kl", "l1", "gan")]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(terms["loss"], rel=1e-12)
    noise = stepper._noise([0, 2], [0, 1])  # T2 alone is the third of the subsets
    image = model({"T2": batch.images["T2"]}, noise=noise).images["iUS"]
    image = image.detach().requires_grad_()
    l1 = 100 * ((image - batch.images["iUS"]).abs() * batch.fov).mean(dim=(1, 2, 3)) / 6
    scores = critics["iUS"](composite(image, batch.fov))
    gan = (
        2.0 * adversarial(scores, batch.fov, "lsgan", real=True) / 6
    )  # of three subsets and two rows
    for name, term in (("l1", l1), ("gan", gan)):
        (gradient,) = torch.autograd.grad(term.sum(), image)
        pull = float(gradient.flatten(1).norm(dim=1).sum())
        assert terms[f"pull/{name}/iUS"] == pytest.approx(pull, rel=1e-6)
    quiet, _ = stepper.generator(batch, 0, 0, replace(WEIGHTS, gan=0.0))
    assert not any(name.startswith(("pull", "weighted/gan")) for name in quiet)


def test_the_goals_are_one_for_real_and_nought_for_fake() -> None:
    """A critic that knows both has nothing to learn; the generator wants its images called real."""
    plan = replace(Plan(model=CONFIG, seed=5), data=replace(Plan().data, batch=2))
    batch = batch_of(CONFIG.modalities, 2)
    known = {m: composite(batch.images[m], batch.fov) for m in CONFIG.modalities}
    torch.manual_seed(0)
    model = MHVAE(CONFIG).double()
    found = {}
    for real, fake in ((1.0, 0.0), (0.0, 1.0)):
        critics = {m: Judge(real, fake, known[m]) for m in known}
        stepper = Stepper(model, critics, plan, {CONFIG.modalities})  # type: ignore[arg-type]
        terms, fakes = stepper.generator(batch, 0, 0, WEIGHTS)
        told = means([stepper.discriminator(batch, fakes)])
        found[real] = (terms["weighted/gan"], told["d/T2/loss"], told["d/iUS/loss"])
    assert found[1.0][0] > 0
    assert found[1.0][1:] == (0, 0)
    assert found[0.0][0] == 0
    assert min(found[0.0][1:]) > 0


def test_the_adversarial_term_moves_the_generator_by_its_weight() -> None:
    plan = replace(Plan(model=CONFIG, seed=5), data=replace(Plan().data, batch=2))
    batch = batch_of(CONFIG.modalities, 2)
    critics = {m: PatchDiscriminator((16, 16), 1, 4).double() for m in CONFIG.modalities}
    gradients = []
    for gan in (0.0, 1.0, 2.0):
        torch.manual_seed(0)
        model = MHVAE(CONFIG).double()
        stepper = Stepper(model, critics, plan, {CONFIG.modalities})
        stepper.generator(batch, 0, 0, replace(WEIGHTS, gan=gan))
        weight = dict(model.named_parameters())["image_decoders.T2.conv1.weight"]
        assert weight.grad is not None
        gradients.append(weight.grad.clone())
    none, once, twice = gradients
    assert float((once - none).abs().max()) > 1e-6
    torch.testing.assert_close(twice - none, 2 * (once - none), rtol=1e-6, atol=1e-10)


def test_beside_the_gan_speckle_costs_nothing_but_a_wrong_mean_does() -> None:
    """An expected echo is a mean: texture around it is no error, however strong it is."""
    fov = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    fov[..., 4:60, 8:56] = 1
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 1.2 - 0.6
    speckled = board.double()[None, None] + 0.1
    mean = local_mean(speckled, fov, 3.0)
    inside = fov > 0
    assert float((mean - 0.1)[inside].abs().max()) < 0.05
    assert float((local_mean(speckled + 0.3, fov, 3.0) - mean)[inside].mean()) == pytest.approx(0.3)
    assert torch.equal(local_mean(speckled, fov, 0.0), speckled)


def test_the_means_are_compared_only_where_the_gan_judges() -> None:
    plan = replace(Plan(model=CONFIG, seed=5), data=replace(Plan().data, batch=2))
    plain = batch_of(CONFIG.modalities, 2)
    batch = replace(
        plain,
        expected={"iUS": composite(plain.images["T2"] * 0.5, plain.fov)},
        has_expected={"iUS": torch.tensor([True, False])},
    )
    torch.manual_seed(0)
    model = MHVAE(CONFIG).double()
    critics = {m: PatchDiscriminator((16, 16), 1, 4).double() for m in CONFIG.modalities}
    found = {}
    for blur in (0.0, 3.0):
        for name, weights in (
            ("judged", WEIGHTS),
            ("unjudged", replace(WEIGHTS, gan=0.0)),
            ("mean path", replace(WEIGHTS, mean_path=1.0)),
        ):
            chosen = replace(plan, loss=replace(plan.loss, gan_blur=blur))
            stepper = Stepper(model, critics, chosen, {CONFIG.modalities})
            found[name, blur] = stepper.generator(batch, 0, 0, weights)[0]["weighted/l1"]
    assert found["judged", 3.0] < found["judged", 0.0]
    assert found["unjudged", 3.0] == found["unjudged", 0.0]
    assert found["mean path", 3.0] == found["mean path", 0.0]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_one_score_for_each_patch_of_the_map(layers: int) -> None:
    critic = PatchDiscriminator((64, 48), layers, 4)
    assert critic(torch.zeros(1, 1, 64, 48)).shape == (1, 1, *score_map((64, 48), layers))


def test_a_local_mean_is_gaussian_inside_the_view() -> None:
    image = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0)).double()
    found = local_mean(image, torch.ones_like(image), 2.0)[0, 0, 12:-12, 12:-12]
    expected = ndimage.gaussian_filter(image[0, 0].numpy(), 2.0, truncate=3.0)[12:-12, 12:-12]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
