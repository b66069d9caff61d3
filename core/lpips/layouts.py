"""The three networks LPIPS is defined with, as tables; needs no torch.

A layout is the convolutional part of a network up to the last layer that is compared. Names of
tensors are those of torchvision's ``features``: ``0.weight``, ``3.squeeze.bias`` …
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """A square convolution with a bias, and ReLU.

    Attributes:
        name: its place in torchvision's ``features``.
        shape: (out, in, side, side) of the weight.
        stride: pixels.
        padding: zeros on every side, pixels.
    """

    name: str
    shape: tuple[int, int, int, int]
    stride: int = 1
    padding: int = 0

    def tensors(self) -> dict[str, Shape]:
        """Return the tensors' names and shapes."""
        return {f"{self.name}.weight": self.shape, f"{self.name}.bias": self.shape[:1]}


@dataclass(frozen=True)
class Fire:
    """A module of SqueezeNet: 1×1 down, then 1×1 and 3×3 up side by side, ReLU after each.

    Attributes:
        name: its place in torchvision's ``features``.
        given: channels that come in.
        squeezed: channels between.
        expanded: channels of each of the two halves that go out.
    """

    name: str
    given: int
    squeezed: int
    expanded: int

    @property
    def squeeze(self) -> Convolution:
        """The 1×1 convolution down."""
        return Convolution(f"{self.name}.squeeze", (self.squeezed, self.given, 1, 1))

    @property
    def expand(self) -> tuple[Convolution, Convolution]:
        """The 1×1 and the 3×3 convolution up."""
        return (
            Convolution(f"{self.name}.expand1x1", (self.expanded, self.squeezed, 1, 1)),
            Convolution(f"{self.name}.expand3x3", (self.expanded, self.squeezed, 3, 3), padding=1),
        )

    def tensors(self) -> dict[str, Shape]:
        """Return the tensors' names and shapes."""
        return {k: s for c in (self.squeeze, *self.expand) for k, s in c.tensors().items()}


@dataclass(frozen=True)
class Pool:
    """Maximum over squares of ``side`` pixels, every ``2``; ``ceil`` keeps a part at the end."""

    side: int
    ceil: bool = False


@dataclass(frozen=True)
class Compare:
    """Here the features of the two images are compared, ``channels`` of them."""

    channels: int


Step = Convolution | Fire | Pool | Compare


@dataclass(frozen=True)
class Layout:
    """One network.

    Attributes:
        key: its name in the lpips package.
        name: its name in the field.
        steps: from the image, (b, 3, H, W), to the last comparison.
        smallest: fewest pixels of an image's side.
        file: how torchvision calls the file of its weights; what follows the last dash is how the
            file's SHA-256 begins.
    """

    key: str
    name: str
    steps: tuple[Step, ...]
    smallest: int
    file: str

    def tensors(self) -> dict[str, Shape]:
        """Return the names and shapes of the backbone's tensors."""
        layers = [s for s in self.steps if isinstance(s, Convolution | Fire)]
        return {k: shape for layer in layers for k, shape in layer.tensors().items()}

    def compared(self) -> list[int]:
        """Return the channels of every comparison, the shallowest first."""
        return [s.channels for s in self.steps if isinstance(s, Compare)]

    def heads(self) -> dict[str, Shape]:
        """Return the names and shapes of the linear heads, one weight per channel."""
        return {head(n): (1, c, 1, 1) for n, c in enumerate(self.compared())}


def head(number: int) -> str:
    """Return the name of a linear head's tensor."""
    return f"lin{number}.model.1.weight"


_ALEXNET = Layout(
    "alex",
    "AlexNet",
    (
        Convolution("0", (64, 3, 11, 11), stride=4, padding=2),
        Compare(64),
        Pool(3),
        Convolution("3", (192, 64, 5, 5), padding=2),
        Compare(192),
        Pool(3),
        Convolution("6", (384, 192, 3, 3), padding=1),
        Compare(384),
        Convolution("8", (256, 384, 3, 3), padding=1),
        Compare(256),
        Convolution("10", (256, 256, 3, 3), padding=1),
        Compare(256),
    ),
    smallest=31,
    file="alexnet-owt-7be5be79",
)


def _vgg() -> Iterator[Step]:
    """Yield VGG-16: blocks of 3×3 convolutions, compared at the end of each, halved between."""
    place, given = 0, 3
    for number, (channels, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        if number:
            yield Pool(2)
            place += 1
        for _ in range(count):
            yield Convolution(str(place), (channels, given, 3, 3), padding=1)
            given = channels
            place += 2  # the ReLU has a place of its own
        yield Compare(channels)


_VGG = Layout("vgg", "VGG-16", tuple(_vgg()), smallest=16, file="vgg16-397923af")

_SQUEEZENET = Layout(
    "squeeze",
    "SqueezeNet 1.1",
    (
        Convolution("0", (64, 3, 3, 3), stride=2),
        Compare(64),
        Pool(3, ceil=True),
        Fire("3", 64, 16, 64),
        Fire("4", 128, 16, 64),
        Compare(128),
        Pool(3, ceil=True),
        Fire("6", 128, 32, 128),
        Fire("7", 256, 32, 128),
        Compare(256),
        Pool(3, ceil=True),
        Fire("9", 256, 48, 192),
        Compare(384),
        Fire("10", 384, 48, 192),
        Compare(384),
        Fire("11", 384, 64, 256),
        Compare(512),
        Fire("12", 512, 64, 256),
        Compare(512),
    ),
    smallest=17,
    file="squeezenet1_1-b8a52dc0",
)

LAYOUTS = (_ALEXNET, _VGG, _SQUEEZENET)

HOW = (
    "Give torchvision's weights of AlexNet, VGG-16 or SqueezeNet 1.1 "
    f"({_ALEXNET.file}.pth and so on) together with the lpips package's weights/v0.1/alex.pth, "
    'vgg.pth or squeeze.pth; or one file, torch.save(lpips.LPIPS(net="alex").state_dict(), FILE).'
)
"""How to come by weights, for whoever has none."""
NOT_COMPUTED = "LPIPS not computed"
