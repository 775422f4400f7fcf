"""The gate's rule, with a network whose answers are written into it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lungsight.datasets.decoys import Kind
from lungsight.package.foreign import UnusableNetwork
from lungsight.package.gate import FRONTAL, INVERTED, MARKED, REFUSALS, UNLIKE, Gate, GateDescription

KINDS = tuple(str(kind) for kind in Kind)
RAMP = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (128, 1))  # brighter to the right


def description(**changed: object) -> GateDescription:
    stated: dict[str, object] = {
        "image_size": 96, "kinds": KINDS, "least_probability": 0.5, "greatest_distance": 2.0,
        "refused_of_real": 0.01, "trained_on": {"somewhere": 3}, "decoys": {"hand": 2},
    }  # fmt: skip
    return GateDescription.model_validate(stated | changed)


def network(kind: str = FRONTAL, sure: float = 9.0, *, distance: float = 1.0, marked: float = -9.0) -> bytes:
    """A network that says ``kind`` with logit ``sure``. Its signs and turns follow the image: ``inverted`` is
    claimed when the image is brighter at its left, ``turned`` when it is brighter at its top or bottom."""
    side = 96
    across = np.tile(np.linspace(1, -1, side, dtype=np.float32), (side, 1))
    signs = np.stack([across * 40 / side**2, 0 * across, 0 * across]).reshape(3, -1).T
    down = across.T
    turns = np.stack([0 * down, down * 40 / side**2, 0 * down, -down * 40 / side**2]).reshape(4, -1).T
    kinds = np.zeros((1, len(KINDS)), np.float32)
    kinds[0, KINDS.index(kind)] = sure
    constants = {
        "signs_weight": signs, "signs_bias": np.array([[-2, marked, -9]]), "turns_weight": turns,
        "turns_bias": np.array([[2.0, 0, -9, 0]]), "zero": np.zeros((side * side, 1)), "kinds_bias": kinds,
        "distance_bias": np.array([distance]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "signs_weight", "signs_bias"], ["signs"]),
        helper.make_node("Gemm", ["flat", "turns_weight", "turns_bias"], ["turns"]),
        helper.make_node("MatMul", ["flat", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "kinds_bias"], ["kinds"]),
        helper.make_node("Squeeze", ["nothing", "axis"], ["none"]),
        helper.make_node("Add", ["none", "distance_bias"], ["distance"]),
    ]
    initialisers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    initialisers.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    outputs = [(name, ["N", None]) for name in ("kinds", "turns", "signs")] + [("distance", ["N"])]
    graph = helper.make_graph(
        nodes,
        "gate",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 1, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def test_a_frontal_radiograph_is_admitted_without_a_word() -> None:
    answer = Gate(network(), description()).ask(RAMP)
    assert (answer.refusals, answer.warnings, answer.inverted) == ((), (), False)
    assert answer.probability > 0.99


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != FRONTAL])
def test_every_other_kind_is_refused_in_its_words(kind: str) -> None:
    answer = Gate(network(kind), description()).ask(RAMP)
    assert answer.refusals == (REFUSALS[kind],)
    assert answer.warnings == ()
    assert answer.probability < 0.01


def test_what_lies_far_from_real_radiographs_is_refused_though_it_seems_one() -> None:
    assert Gate(network(distance=2.5), description()).ask(RAMP).refusals == (UNLIKE,)


def test_an_inverted_image_is_put_right_and_looked_at_again() -> None:
    answer = Gate(network(), description()).ask(1 - RAMP)
    assert answer.inverted
    assert answer.warnings == (INVERTED,)
    assert answer.refusals == ()
    np.testing.assert_allclose(answer.righted(1 - RAMP), RAMP, atol=1e-6)


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_turned_image_is_told_by_the_angle_that_rights_it(quarters: int) -> None:
    answer = Gate(network(), description()).ask(np.ascontiguousarray(np.rot90(RAMP, quarters)))
    assert answer.warnings == (
        f"The image seems to lie turned; it was judged upright, turned clockwise by {90 * quarters} degrees.",
    )
    assert not answer.inverted
    np.testing.assert_array_equal(answer.righted(np.rot90(RAMP, quarters)), RAMP)


def test_pixels_that_are_no_numbers_have_an_answer() -> None:
    assert Gate(network(), description()).ask(np.full((70, 90), np.nan, np.float32)) is not None


def test_every_kind_has_words() -> None:
    assert set(REFUSALS) == set(KINDS) - {FRONTAL}


def test_another_network_is_refused() -> None:
    with pytest.raises(UnusableNetwork, match="isn't an ONNX file"):
        Gate(b"no network", description())
    model = onnx.load_model_from_string(network())
    model.graph.output.pop()
    with pytest.raises(UnusableNetwork, match="must give kinds, turns, signs and distance"):
        Gate(model.SerializeToString(), description())
    with pytest.raises(UnusableNetwork, match="first kind must be 'frontal'"):
        Gate(network(), description(kinds=KINDS[::-1]))


def test_heavy_marks_excuse_a_distance_where_the_network_is_sure() -> None:
    """The fake network calls every image marked once its bias says so."""
    far = network(sure=20.0, distance=2.5, marked=9.0)
    answer = Gate(far, description()).ask(RAMP)
    assert (answer.refusals, answer.warnings) == ((), (MARKED,))
    unsure = network(sure=4.0, distance=2.5, marked=9.0)
    assert Gate(unsure, description()).ask(RAMP).refusals == (UNLIKE,)
