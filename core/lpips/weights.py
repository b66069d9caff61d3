"""Weights of LPIPS from one or two local files; nothing is downloaded, and no file runs code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from core.errors import UserError
from core.lpips.distance import Distance
from core.lpips.layouts import HOW, LAYOUTS, Layout

Tensors = dict[str, Tensor]

_BACKBONE = re.compile(r"(?:features|net\.slice\d+)\.(.+)")
"""torchvision's names, and those of the lpips package, which keeps torchvision's numbers."""
_HEAD = re.compile(r"lin\d+\.model\.1\.weight")
_SHOWN = 16
"""First hexadecimal digits of a hash that tell a published set of heads."""

PUBLISHED = {"718a8b40b0d22f96": "alex", "9153a2043dccf3b5": "vgg", "68f1b1752260e033": "squeeze"}
"""SHA-256 over the numbers of the published heads, version 0.1 → layout."""
OLD = {"8a9f071221953c58", "e60d8ee2c0926a5b", "1a1c8db5a561a681"}
"""The same of version 0.0, which is another measure: its images were not normalised."""


class LpipsError(UserError):
    """Weights that are not those of LPIPS."""


@dataclass(frozen=True)
class Weights:
    """What was loaded, as a report tells it.

    Attributes:
        layout: name of the network.
        files: what a file holds (``backbone``, ``heads``, ``backbone and heads``) → its SHA-256.
        backbone_known: whether the file is the one torchvision publishes.
        heads_known: whether the heads are the published ones, version 0.1.
    """

    layout: str
    files: dict[str, str]
    backbone_known: bool
    heads_known: bool

    def __str__(self) -> str:
        """Return one clause: the layout, the hashes, and whose weights these are."""
        hashes = "; ".join(f"{what} SHA-256 {sha256}" for what, sha256 in self.files.items())
        heads = (
            "the published heads" if self.heads_known else "heads that are not the published ones"
        )
        backbone = "torchvision's backbone" if self.backbone_known else "a backbone not known here"
        return f"LPIPS (version 0.1, {self.layout}): {hashes}; {backbone}, {heads}"


@dataclass(frozen=True, eq=False)
class _File:
    name: str
    sha256: str
    backbone: Tensors
    heads: Tensors

    @property
    def holds(self) -> str:
        return " and ".join(n for n in ("backbone", "heads") if getattr(self, n))


def load(files: Sequence[Path]) -> tuple[Distance, Weights]:
    """Read the backbone and the linear heads of LPIPS.

    Args:
        files: one that holds both, or one with each, in any order: torchvision's state dict of
            AlexNet, VGG-16 or SqueezeNet 1.1, and the lpips package's heads (version 0.1), saved
            with torch or as safetensors.

    Raises:
        LpipsError: a file cannot be read without running code, half of the weights is missing or
            there twice, or they are of another network.
    """
    read = [_read(path) for path in files]
    backbone, heads = (_the_one(read, part) for part in ("backbone", "heads"))
    layout = _layout_of(backbone)
    shapes = {name: tuple(tensor.shape) for name, tensor in heads.heads.items()}
    if shapes != layout.heads():
        other = next((one.name for one in LAYOUTS if one.heads() == shapes), "no known network")
        raise LpipsError(
            f"{heads.name}: expected the linear heads of {layout.name}, as {backbone.name} is one; "
            f"found those of {other}. Give the file {layout.key}.pth of the lpips package's "
            "weights/v0.1."
        )
    fingerprint = _fingerprint(heads.heads)
    if fingerprint in OLD:
        raise LpipsError(
            f"{heads.name}: expected heads of version 0.1, found those of version 0.0, another "
            f"measure. Give the file {layout.key}.pth of the lpips package's weights/v0.1."
        )
    weights = {name: backbone.backbone[name] for name in layout.tensors()} | heads.heads
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            where = heads.name if name in heads.heads else backbone.name
            raise LpipsError(
                f"{where}: expected finite numbers, found others in {name}. The file is damaged; "
                "take another copy."
            )
    told = Weights(
        layout.name,
        {one.holds: one.sha256 for one in sorted(read, key=lambda one: one.holds)},
        backbone.sha256.startswith(layout.file.rpartition("-")[2]),
        PUBLISHED.get(fingerprint) == layout.key,
    )
    return Distance(layout, weights), told


def _read(path: Path) -> _File:
    """Read what LPIPS needs of a file; other tensors, such as a classifier's, are passed over."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if path.suffix == ".safetensors":
            found: object = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the restricted unpickler fails in many ways on foreign bytes
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not readable"
        raise LpipsError(
            f"{path.name}: expected weights saved with torch or as safetensors; the file is "
            f"missing, damaged or holds other Python objects ({why}). {HOW}"
        ) from error
    named = found if isinstance(found, Mapping) else {}
    tensors = {
        str(name).removeprefix("module."): tensor.float()
        for name, tensor in named.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point()
    }
    parts = {name: match[1] for name in tensors if (match := _BACKBONE.fullmatch(name))}
    file = _File(
        path.name,
        digest,
        {short: tensors[name] for name, short in parts.items()},
        {name: tensor for name, tensor in tensors.items() if _HEAD.fullmatch(name)},
    )
    if not file.holds:
        raise LpipsError(
            f"{path.name}: expected a backbone's features or LPIPS's linear heads, found neither "
            f"among {len(named)} entries. {HOW}"
        )
    return file


def _the_one(files: Sequence[_File], part: str) -> _File:
    """Return the file that holds a part; complain of none and of several."""
    having = [one for one in files if getattr(one, part)]
    if len(having) == 1:
        return having[0]
    names = " and ".join(one.name for one in files) or "no file"
    if having:
        raise LpipsError(
            f"{names}: expected one file with the {part} of LPIPS, found {len(having)}. Give one "
            "file with both backbone and heads, or one with each."
        )
    raise LpipsError(f"{names}: expected backbone and heads of LPIPS, found no {part}. {HOW}")


def _layout_of(file: _File) -> Layout:
    """Tell the network from its tensors; an unused rest, such as a sixth block, is another one."""
    shapes = {name: tuple(tensor.shape) for name, tensor in file.backbone.items()}
    for layout in LAYOUTS:
        if layout.tensors() == shapes:
            return layout
    # The nearest is the one the user most likely meant.
    near = max(LAYOUTS, key=lambda one: len(one.tensors().items() & shapes.items()))
    wrong = min(set(near.tensors().items()) ^ set(shapes.items()))[0]
    raise LpipsError(
        f"{file.name}: expected the features of AlexNet, VGG-16 or SqueezeNet 1.1, found those of "
        f"another network (it differs from {near.name} at {wrong}). {HOW}"
    )


def _fingerprint(heads: Mapping[str, Tensor]) -> str:
    """Hash the heads' numbers, whatever file they came in."""
    digest = hashlib.sha256()
    for name in sorted(heads):
        digest.update(heads[name].contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()[:_SHOWN]
