"""The runtime, with a network of three operators (dark is lung) in the place of the trained one."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lungsight.components.lung_segmentation import (
    LungSegmentation,
    LungSegmentationDescription,
    implausibilities,
    lungs_of,
    network_input,
)
from lungsight.components.lungs import Box, Lungs, split_sides
from lungsight.components.onnx_safety import UnusableNetworkError

SIDE = 64
DESCRIPTION = LungSegmentationDescription(image_size=SIDE, trained_on={"nowhere": 0})


def dark_is_lung(output: str = "lungs", steep: float = 40.0) -> bytes:
    """Logits ``steep × (0.4 − pixels)``."""
    shape = ["N", 1, "height", "width"]
    constants = {"middle": np.float32(0.4), "steep": np.float32(steep)}
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["middle", "pixels"], ["darker"]),
            helper.make_node("Mul", ["darker", "steep"], [output]),
        ],
        "dark is lung",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def fields() -> LungSegmentation:
    return LungSegmentation(dark_is_lung(), DESCRIPTION, threads=1)


def ellipses(*where: tuple[float, float, float, float], side: int = SIDE) -> NDArray[np.bool_]:
    """A mask of ellipses, each (x, y, half width, half height) in fractions of the side."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    inside = [((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1 for cx, cy, rx, ry in where]
    return np.any(inside, axis=0) if inside else np.zeros((side, side), dtype=bool)


TWO_LUNGS = ((0.3, 0.5, 0.13, 0.3), (0.7, 0.5, 0.12, 0.28))


def chest(height: int, width: int) -> NDArray[np.float32]:
    """Two dark ellipses in a bright body."""
    mask = cv2.resize(ellipses(*TWO_LUNGS, side=512).astype(np.uint8), (width, height))
    return np.where(mask > 0, 0.2, 0.8).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (200, 340), (700, 300), (1500, 1800)])
def test_two_lungs_are_found_whatever_the_size(fields: LungSegmentation, shape: tuple[int, int]) -> None:
    pixels = chest(*shape)
    lungs = fields.find(pixels)
    assert lungs.problems == ()
    assert lungs.mask.shape == (SIDE, SIDE)
    true, found = pixels < 0.5, lungs.on(*shape)
    assert found.shape == shape
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.95


def test_the_box_is_tight_around_both(fields: LungSegmentation) -> None:
    box = fields.find(chest(400, 500)).box
    assert box is not None
    expected = Box(left=0.17, top=0.2, right=0.82, bottom=0.8)
    for edge in ("left", "top", "right", "bottom"):
        assert getattr(box, edge) == pytest.approx(getattr(expected, edge), abs=1.5 / SIDE)


def test_no_lung_has_no_box() -> None:
    lungs = Lungs(ellipses(), implausibilities(ellipses()))
    assert lungs.box is None
    assert lungs.problems == ("No lung was found.",)
    assert not lungs.on(30, 50).any()


def test_left_and_right_are_told_apart() -> None:
    left, right = Lungs(ellipses(*TWO_LUNGS)).sides
    assert np.array_equal(left, ellipses(TWO_LUNGS[0]))
    assert np.array_equal(right, ellipses(TWO_LUNGS[1]))
    alone = ellipses(TWO_LUNGS[1])
    assert [side.any() for side in split_sides(alone)] == [False, True]
    assert [side.any() for side in split_sides(alone[:, ::-1])] == [True, False]


def test_smaller_pieces_go_and_holes_are_filled() -> None:
    logits = np.where(ellipses(*TWO_LUNGS, (0.5, 0.93, 0.04, 0.04)), 8.0, -8.0).astype(np.float32)
    logits[30:33, 18:21] = -8.0
    lungs = lungs_of(logits, 0.5)
    assert np.array_equal(lungs.mask, ellipses(*TWO_LUNGS))
    assert lungs.problems == ()


def test_the_threshold_is_a_probability() -> None:
    logits = np.where(ellipses(*TWO_LUNGS), np.log(0.7 / 0.3), -8.0).astype(np.float32)
    assert lungs_of(logits, 0.69).mask.any()
    assert not lungs_of(logits, 0.71).mask.any()


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ((TWO_LUNGS[0],), "Only one lung"),
        (((0.3, 0.5, 0.06, 0.07), (0.7, 0.5, 0.06, 0.07)), "too small"),
        (((0.24, 0.5, 0.235, 0.49), (0.76, 0.5, 0.235, 0.49)), "too large"),
        ((TWO_LUNGS[0], (0.7, 0.5, 0.06, 0.11)), "many times larger"),
        (((0.3, 0.25, 0.13, 0.2), (0.75, 0.75, 0.13, 0.2)), "side by side"),
        (((0.5, 0.25, 0.13, 0.2), (0.5, 0.75, 0.13, 0.2)), "above the other"),
        (((0.24, 0.5, 0.2, 0.09), (0.76, 0.5, 0.2, 0.09)), "too flat or too narrow"),
        (((0.02, 0.5, 0.2, 0.3), (0.5, 0.5, 0.13, 0.3)), "left edge cuts"),
        (((0.5, 0.5, 0.13, 0.3), (0.98, 0.5, 0.2, 0.3)), "right edge cuts"),
        (((0.3, 0.0, 0.13, 0.4), (0.7, 0.0, 0.13, 0.4)), "top edge cuts"),
        (((0.3, 1.0, 0.13, 0.4), (0.7, 1.0, 0.13, 0.4)), "bottom edge cuts"),
    ],
)
def test_what_cant_be_two_lungs_is_told_in_a_sentence(
    where: tuple[tuple[float, float, float, float], ...], problem: str
) -> None:
    problems = implausibilities(ellipses(*where))
    assert any(problem in sentence for sentence in problems), problems
    assert all(sentence.endswith(".") for sentence in problems)


def test_a_ragged_outline_is_told() -> None:
    mask = ellipses(*TWO_LUNGS)
    mask[20:44:2, 6:21] = True  # a comb, which no lung is
    mask[:, :4] = mask[:, 20:30] = False
    ragged = mask.copy()
    ragged[8:56, 4:6] = True
    ragged[8:56:6, 4:28] = True
    ragged[20:44, 8:21] &= (np.arange(24) % 6 == 0)[:, None]
    assert any("ragged" in sentence for sentence in implausibilities(ragged))
    assert not implausibilities(ellipses(*TWO_LUNGS))


def test_doubt_is_told() -> None:
    logits = np.where(ellipses(*TWO_LUNGS), 0.3, -8.0).astype(np.float32)
    assert lungs_of(logits, 0.5).problems == ("The network is unsure where the lungs are.",)


@settings(max_examples=60, deadline=None)
@given(
    pixels=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
        elements=st.floats(-2, 3, width=32) | st.sampled_from([np.nan, np.inf, -np.inf]),
    )
)
def test_any_plane_of_pixels_has_an_answer(fields: LungSegmentation, pixels: NDArray[np.float32]) -> None:
    lungs = fields.find(pixels)
    assert lungs.mask.dtype == bool
    assert lungs.on(*pixels.shape).shape == pixels.shape
    assert (lungs.box is None) == (not lungs.mask.any())
    left, right = lungs.sides
    assert np.array_equal(left | right, lungs.mask)
    assert not (left & right).any()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, np.nan])
@pytest.mark.parametrize("shape", [(1, 1), (300, 300), (3, 4000), (4000, 3)])
def test_a_blank_image_is_no_chest(fields: LungSegmentation, value: float, shape: tuple[int, int]) -> None:
    assert fields.find(np.full(shape, value, np.float32)).problems


def test_noise_is_no_chest(fields: LungSegmentation) -> None:
    noise = np.random.default_rng(0).random((300, 400), dtype=np.float32)
    assert fields.find(noise).problems


@pytest.mark.parametrize("shape", [(0, 5), (5, 5, 3), (7,)])
def test_what_is_no_plane_of_pixels_is_refused(fields: LungSegmentation, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="plane of pixels"):
        fields.find(np.zeros(shape, np.float32))


def test_many_are_found_as_one_by_one(fields: LungSegmentation) -> None:
    images = [chest(60 + 7 * n, 90 + 5 * n) for n in range(11)]
    together = fields.find_many(images)
    assert len(together) == len(images)
    for pixels, lungs in zip(images, together, strict=True):
        assert np.array_equal(fields.find(pixels).mask, lungs.mask)
    assert fields.find_many([]) == []


def test_a_dark_film_is_seen_like_a_bright_one() -> None:
    pixels = chest(SIDE, SIDE)
    np.testing.assert_allclose(network_input(pixels, SIDE), network_input(pixels * 0.3 + 0.1, SIDE), atol=1e-5)


def test_other_networks_are_refused() -> None:
    with pytest.raises(UnusableNetworkError, match="it must give lungs"):
        LungSegmentation(dark_is_lung("maps"), DESCRIPTION)
    with pytest.raises(UnusableNetworkError, match="isn't an ONNX file"):
        LungSegmentation(b"no network", DESCRIPTION)
    model = onnx.load_model_from_string(dark_is_lung())
    model.graph.input[0].name = model.graph.node[0].input[1] = "image"
    with pytest.raises(UnusableNetworkError, match="its input must be 'pixels'"):
        LungSegmentation(bytes(model.SerializeToString()), DESCRIPTION)
