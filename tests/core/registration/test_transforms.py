"""ITK transform files: directions, LPS, chains, round trips, refusals."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from core.registration.alignment import AlignError, Alignment, from_parameters
from core.registration.transforms import read_transform, write_transform

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
NUMBERS = st.floats(-50, 50)


def lps_of(transform: sitk.Transform, point: np.ndarray) -> np.ndarray:
    """Where a SimpleITK transform sends a RAS point, in RAS."""
    x, y, z = transform.TransformPoint((-point[0], -point[1], point[2]))
    return np.array([-x, -y, z])


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[NUMBERS] * 6), st.sampled_from([".tfm", ".txt", ".mat", ".h5"]))
def test_what_is_written_resamples_the_moving_onto_the_fixed_volume(
    tmp_path_factory: pytest.TempPathFactory, values: tuple[float, ...], suffix: str
) -> None:
    matrix = from_parameters(values, (3, 4, 5))
    matrix[:3, :3] = matrix[:3, :3] @ (np.eye(3) + np.diag([0.03, 0, -0.05]))
    path = write_transform(
        tmp_path_factory.mktemp("t") / f"case{suffix}", Alignment(matrix, "manual")
    )
    again = read_transform(path)
    assert np.allclose(again.matrix, matrix, atol=1e-9)
    assert (again.kind, again.source) == ("file", path.name)
    assert np.allclose(read_transform(path, inverse=True).matrix @ matrix, np.eye(4), atol=1e-9)
    # ITK's own reading: a fixed point goes to the moving volume's space.
    moving = np.array([10.0, -20.0, 30.0])
    fixed = matrix[:3, :3] @ moving + matrix[:3, 3]
    assert np.allclose(lps_of(sitk.ReadTransform(str(path)), fixed), moving, atol=1e-6)
    assert not [p for p in path.parent.iterdir() if p != path]


def test_an_itk_resampling_agrees_with_the_matrix(tmp_path: Path) -> None:
    """A bright voxel lands where the matrix says, by SimpleITK's resampler."""
    image = sitk.Image(20, 20, 20, sitk.sitkFloat32)
    image.SetOrigin((-10.0, -10.0, -10.0))
    image[4, 12, 9] = 1.0
    there = np.array(image.TransformIndexToPhysicalPoint((4, 12, 9))) * (-1, -1, 1)  # RAS
    matrix = from_parameters([3, 0, -2, 0, 0, 90], [0, 0, 0])
    path = write_transform(tmp_path / "turn.tfm", Alignment(matrix, "manual"))
    out = sitk.Resample(image, image, sitk.ReadTransform(str(path)), sitk.sitkNearestNeighbor)
    k, j, i = np.argwhere(sitk.GetArrayFromImage(out) > 0)[0]
    found = np.array(out.TransformIndexToPhysicalPoint((int(i), int(j), int(k)))) * (-1, -1, 1)
    assert np.allclose(found, matrix[:3, :3] @ there + matrix[:3, 3], atol=0.51)


@pytest.mark.parametrize(
    "transform",
    [
        sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6)),
        sitk.Similarity3DTransform(1.1, (0, 0, 1), 0.3, (1, 2, 3), (4, 5, 6)),
        sitk.TranslationTransform(3, (7, 8, 9)),
        sitk.AffineTransform((1, 0.1, 0, 0, 1, 0, 0, 0, 0.9), (1, 2, 3), (9, 9, 9)),
        sitk.CompositeTransform(
            [sitk.TranslationTransform(3, (7, 8, 9)), sitk.Euler3DTransform((0, 0, 0), 0.4, 0, 0)]
        ),
    ],
    ids=["euler", "similarity", "translation", "affine", "chain"],
)
@pytest.mark.parametrize("suffix", [".tfm", ".h5"])
def test_every_affine_kind_is_understood(
    tmp_path: Path, transform: sitk.Transform, suffix: str
) -> None:
    path = tmp_path / f"any{suffix}"
    sitk.WriteTransform(transform, str(path))
    matrix = read_transform(path, inverse=True).matrix
    for point in np.random.default_rng(0).uniform(-100, 100, (5, 3)):
        assert np.allclose(matrix[:3, :3] @ point + matrix[:3, 3], lps_of(transform, point))


def displacement() -> sitk.Transform:
    return sitk.DisplacementFieldTransform(sitk.Image(4, 4, 4, sitk.sitkVectorFloat64))


@pytest.mark.parametrize("chained", [False, True])
def test_a_deformation_is_refused(tmp_path: Path, chained: bool) -> None:
    transform = displacement()
    if chained:
        transform = sitk.CompositeTransform([sitk.TranslationTransform(3, (1, 1, 1)), transform])
    path = tmp_path / "warp.h5"
    sitk.WriteTransform(transform, str(path))
    with pytest.raises(AlignError, match=r"warp\.h5: .*deformable one \(Displacement"):
        read_transform(path)


def test_files_that_are_no_transforms_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.tfm", b"hello"), ("b.h5", b"\x89HDF\r\n\x1a\nxx"), ("c.txt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AlignError, match=f"{name}: expected an ITK transform"):
            read_transform(tmp_path / name)
    (tmp_path / "d.mat").write_bytes(b"x")
    with pytest.raises(AlignError, match=r"d\.mat: expected an ITK transform"):
        read_transform(tmp_path / "d.mat")
    with pytest.raises(AlignError, match=r"absent\.tfm: there is no such"):
        read_transform(tmp_path / "absent.tfm")
    flat = sitk.AffineTransform((1, 0, 0, 0, 1, 0, 0, 0, 1e-12), (0, 0, 0))
    sitk.WriteTransform(flat, str(tmp_path / "flat.tfm"))
    with pytest.raises(AlignError, match=r"flat\.tfm: .*flattens"):
        read_transform(tmp_path / "flat.tfm")
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "two.tfm"))
    with pytest.raises(AlignError, match=r"two\.tfm: .*found 2-D"):
        read_transform(tmp_path / "two.tfm")


AFFINE = sitk.AffineTransform(
    (1, 0.1, 0, 0, 1, 0, 0, 0, 0.9), (10.25, -20.5, 30.75), (101.5, -52.25, 63.125)
)
CUT = {
    "affine": AFFINE,
    "rigid": sitk.Euler3DTransform((101.5, 2.25, 3.125), 0.1, 0.2, 0.3, (4.5, 5.25, 6.125)),
    "chain": sitk.CompositeTransform([AFFINE, sitk.TranslationTransform(3, (7.5, 8.25, 9.125))]),
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("suffix", [".tfm", ".mat"])
def test_a_file_cut_anywhere_is_never_another_transform(
    kind: str, suffix: str, tmp_path: Path
) -> None:
    """ITK takes most of these for the identity, and ``63.1`` for the ``63.125`` it was."""
    path = tmp_path / f"cut{suffix}"
    if kind == "chain" and suffix == ".mat":
        pytest.skip("the format holds one transform")
    sitk.WriteTransform(CUT[kind], str(path))
    whole = path.read_bytes()
    read_transform(path)
    # Right between the parts of a chain lies a whole file; no reader can tell.
    between = whole.rfind(b"#Transform ") if kind == "chain" else -1
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length != between:
            with pytest.raises(AlignError, match=f"cut{suffix}: expected an ITK transform"):
                read_transform(path)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    alignment = Alignment(np.eye(4), "manual")
    with pytest.raises(AlignError, match=r"x\.tfm: the transform could not be written"):
        write_transform(tmp_path / "absent" / "x.tfm", alignment)
    with pytest.raises(AlignError, match="expected a transform file"):
        write_transform(tmp_path / "x.json", alignment)
