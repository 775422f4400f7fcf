"""What an ONNX classifier from elsewhere may want, guessed from its graph; a person confirms it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from lungsight.components.onnx_adaptation import Shape, constant_of, shape_of
from lungsight.components.onnx_description import IMAGENET
from lungsight.components.onnx_safety import UnusableNetworkError

_USUAL_SIZE = 224
_BYTE = 255.0
#: A tensor whose every value is beyond this is a mean of pixels in 0…255, not in 0…1.
_OF_BYTES = 2.0


@dataclass(frozen=True)
class Guess:
    """A guess about a network, and what it rests on.

    Attributes:
        input, output: keys of these tables of a ``model.toml``.
        numbers: how many numbers the network gives; 0 if it doesn't say.
        reasons: for each key, what the guess rests on.
    """

    input: Mapping[str, Any]
    output: Mapping[str, Any]
    numbers: int
    reasons: Mapping[str, str]


def guess(network: onnx.ModelProto, output: str = "") -> Guess:
    """Guess from the graph. Raises UnusableNetworkError if it isn't one image in and numbers out."""
    shape = shape_of(network, output)
    sides, why_sides = _sides(shape)
    pixels, why_pixels = _range(network, shape, int(sides["channels"]))
    numbers = next(
        (side for side in reversed(shape.output_shape[1:]) if side > 1), min(shape.output_shape[1:], default=1)
    )
    activation, why_activation = _activation(shape, numbers)
    several = activation == "sigmoid" or shape.activation == "Sigmoid"
    return Guess(
        input={**sides, **pixels, "geometry": "squash"},
        output={"name": shape.output, "activation": activation, "multi_label": several and numbers > 1},
        numbers=numbers,
        reasons={
            **why_sides,
            "range": why_pixels,
            "activation": why_activation,
            "geometry": "most networks are given it so",
        },
    )


def _sides(shape: Shape) -> tuple[dict[str, Any], dict[str, str]]:
    if len(shape.input_shape) != 4:
        raise UnusableNetworkError(f"its input has {len(shape.input_shape)} dimensions, and 4 are those of images")
    _, *sides = shape.input_shape
    first, last = sides[0] in (1, 3), sides[2] in (1, 3)
    layout = "NHWC" if last and not first else "NCHW"
    channels, spans = (sides[2], sides[:2]) if layout == "NHWC" else (sides[0], sides[1:])
    size = next((side for side in spans if side), 0)
    if spans[0] != spans[1]:
        raise UnusableNetworkError(f"its input is {spans[0]} x {spans[1]} pixels, and only squares can be made")
    stated = " x ".join(str(side or "any") for side in shape.input_shape)
    return (
        {"size": size or _USUAL_SIZE, "channels": channels or 3, "layout": layout},
        {
            "size": f"its input is {stated}" if size else "it takes any size; most are trained with this",
            "channels": f"its input is {stated}",
            "layout": f"its input is {stated}",
        },
    )


def _range(network: onnx.ModelProto, shape: Shape, channels: int) -> tuple[dict[str, Any], str]:
    """The range of its pixels, from the first thing that it does to them."""
    graph = network.graph
    first = next((node for node in graph.node if shape.input in node.input), None)
    values = [v for name in (first.input if first is not None else ()) if (v := constant_of(graph, name)) is not None]
    if first is not None and first.op_type in ("Mul", "Div", "Sub", "Add") and values:
        value = np.abs(np.asarray(values[0], dtype=np.float64))
        of_bytes = value.max() < 0.02 if first.op_type == "Mul" else value.min() > _OF_BYTES
        limit = _BYTE if of_bytes else 1.0
        return {"range": (0.0, limit)}, f"it begins with {first.op_type} by {value.flat[0]:.4g}"
    if shape.input_type == onnx.TensorProto.UINT8:
        return {"range": (0.0, _BYTE)}, "its input holds bytes"
    if channels == 3:
        mean, std = IMAGENET
        return {"range": (0.0, 1.0), "mean": mean, "std": std}, "nothing in it scales pixels; with ImageNet's mean"
    return {"range": (0.0, 1.0)}, "nothing in it scales pixels"


def _activation(shape: Shape, numbers: int) -> tuple[str, str]:
    if shape.activation:
        return "none", f"it ends in a {shape.activation}"
    if numbers == 1:
        return "sigmoid", "it gives one number, and no sigmoid makes it"
    return "softmax", "it ends without a softmax"


def class_names(network: onnx.ModelProto, numbers: int) -> Sequence[str]:
    """Names that the file states for its numbers; empty if it states none."""
    for entry in network.metadata_props:
        if entry.key.lower() in ("classes", "class_names", "labels", "names"):
            names = [name.strip(" \"'[]") for name in entry.value.split(",")]
            if len(names) == numbers and all(names):
                return names
    return ()
