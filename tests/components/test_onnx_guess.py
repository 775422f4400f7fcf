"""What is guessed of an ONNX classifier, from graphs as other people export them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lungsight.components.onnx_description import IMAGENET
from lungsight.components.onnx_guess import class_names, guess
from lungsight.components.onnx_safety import UnusableNetworkError
from other_onnx import SIDE, convolutional


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sides_and_layout_are_those_of_the_input(layout: str, channels: int) -> None:
    found = guess(convolutional(channels=channels, layout=layout))
    assert found.input["size"] == SIDE
    assert (found.input["channels"], found.input["layout"]) == (channels, layout)
    assert found.numbers == 3
    assert found.input.get("mean") == (IMAGENET[0] if channels == 3 else None)
    assert set(found.reasons) >= {"size", "channels", "layout", "range", "activation", "geometry"}


@pytest.mark.parametrize(
    ("classes", "ends_in", "activation", "multi_label"),
    [
        (3, "Softmax", "none", False),
        (3, "Sigmoid", "none", True),
        (3, "", "softmax", False),
        (1, "", "sigmoid", False),
        (1, "Sigmoid", "none", False),
    ],
)
def test_activation_follows_from_the_end(classes: int, ends_in: str, activation: str, multi_label: bool) -> None:
    found = guess(convolutional(classes=classes, ends_in=ends_in))
    assert (found.output["activation"], found.output["multi_label"]) == (activation, multi_label)


def scaled(kind: str, value: float) -> onnx.ModelProto:
    """A network that first does something to its pixels."""
    network = convolutional()
    network.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), "constant"))
    network.graph.node[0].input[0] = "scaled"
    network.graph.node.insert(0, helper.make_node(kind, ["image", "constant"], ["scaled"]))
    return network


@pytest.mark.parametrize(
    ("kind", "value", "limit"), [("Mul", 1 / 255, 255), ("Div", 255, 255), ("Sub", 123.7, 255), ("Sub", 0.485, 1)]
)
def test_the_range_follows_from_what_is_done_to_pixels_first(kind: str, value: float, limit: float) -> None:
    assert guess(scaled(kind, value)).input["range"] == (0, limit)


def test_names_in_the_file_are_taken_if_there_is_one_for_each_number() -> None:
    network = convolutional()
    network.metadata_props.add(key="names", value="['covid', 'flu', 'normal']")
    assert list(class_names(network, 3)) == ["covid", "flu", "normal"]
    assert class_names(network, 2) == ()
    assert class_names(convolutional(), 3) == ()


def test_what_is_no_classifier_of_square_images_is_refused() -> None:
    network = convolutional()
    network.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 1]))
    with pytest.raises(UnusableNetworkError, match="2 inputs"):
        guess(network)
    wide = convolutional()
    wide.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 2 * SIDE
    with pytest.raises(UnusableNetworkError, match="only squares"):
        guess(wide)
