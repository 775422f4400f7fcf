"""An ONNX classifier from elsewhere, its graph extended so that it takes and gives what a package's network does.

In front of it goes what its description says of pixels (range, mean, channels, layout); behind it, what makes logits
of its numbers. Where it ends in an average over places and one linear layer, it also gives maps whose means plus a
bias are its logits, as Zhou et al. 2016 ("Learning deep features for discriminative localization") make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lungsight.components.classifier import OUTPUTS
from lungsight.components.onnx_description import OnnxDescription
from lungsight.components.onnx_safety import UnusableNetworkError, refuse_foreign
from lungsight.components.runtime import INPUT

Floats = NDArray[np.float32]

LOGITS, MAPS = OUTPUTS
FEATURES = "features"
_OURS = (INPUT, LOGITS, MAPS, FEATURES)
_LEAST = 1e-12
#: The oldest opset whose arithmetic broadcasts.
_OLDEST = 8
#: Operators between the average over places and the linear layer that change nothing but the shape.
_SHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Dropout", "Identity"})
_ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_SINGLE, _NUMBERS = TensorProto.FLOAT, (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_INPUTS = (*_NUMBERS, TensorProto.UINT8)


@dataclass(frozen=True)
class Shape:
    """What an ONNX classifier says of itself.

    Attributes:
        input: its name; ``input_type``: of its numbers; ``input_shape``: 0 where a side is free.
        output: the name of the output that is read; ``output_shape`` likewise.
        activation: the operator that its numbers come from, if that is a softmax or a sigmoid; else empty.
    """

    input: str
    input_type: int
    input_shape: tuple[int, ...]
    output: str
    output_shape: tuple[int, ...]
    activation: str


def shape_of(network: onnx.ModelProto, output: str = "") -> Shape:
    """What the graph states. Raises UnusableNetworkError if it isn't one image in and numbers out."""
    graph = network.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    if len(inputs) != 1:
        raise UnusableNetworkError(f"it has {len(inputs)} inputs; it must take one, the image")
    outputs = {one.name: one for one in graph.output}
    if output and output not in outputs:
        raise UnusableNetworkError(f"it has no output {output}; it has {', '.join(outputs)}")
    if not outputs:
        raise UnusableNetworkError("it has no output")
    read = output or next(iter(outputs))
    last = _producer(graph, read)
    return Shape(
        inputs[0].name, inputs[0].type.tensor_type.elem_type, _sides(inputs[0]), read, _sides(outputs[read]),
        last.op_type if last is not None and last.op_type in _ACTIVATIONS else "",
    )  # fmt: skip


def loaded(content: bytes) -> onnx.ModelProto:
    """The network, if it names no other files and has no operators of its own. Raises UnusableNetworkError."""
    refuse_foreign(content)
    network = onnx.load_model_from_string(content)
    version = next((one.version for one in network.opset_import if one.domain in ("", "ai.onnx")), 0)
    if version < _OLDEST:
        raise UnusableNetworkError(f"it is of ONNX opset {version}; export it again with {_OLDEST} or newer")
    return network


def adapted(content: bytes, description: OnnxDescription, *, maps: bool = True) -> bytes:
    """The network with the input ``pixels``, the output ``logits`` and, if its end allows, ``maps`` and ``features``.

    Args:
        content: the ONNX file.
        description: what it doesn't say of itself.
        maps: look for maps and features.

    Raises:
        UnusableNetworkError: it can't be run, or isn't as described.
    """
    network = loaded(content)
    _rename(network.graph, {name: f"their_{name}" for name in _OURS})
    renamed = f"their_{description.output.name}" if description.output.name in _OURS else description.output.name
    shape = shape_of(network, renamed)
    extension = _Extension(network.graph)
    _in_front(extension, shape, description)
    numbers, activation = _numbers(extension, shape, description)
    _logits(extension, numbers, activation, description)
    if maps and activation != "none":
        _maps(extension, numbers, description)
    return extension.written(network)


def batch_of(content: bytes) -> int:
    """How many images a network takes at a time; 0 for any number."""
    return _sides(onnx.load_model_from_string(content).graph.input[0])[0]


@dataclass(eq=False)
class _Extension:
    """A graph that gets further nodes."""

    graph: onnx.GraphProto
    before: list[onnx.NodeProto] = field(default_factory=list)
    after: list[onnx.NodeProto] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    batch: int | str = "n"
    side: int = 0

    def constant(self, name: str, values: object, kind: type = np.float32) -> str:
        """A tensor of the graph."""
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype=kind), f"lungsight_{name}"))
        return f"lungsight_{name}"

    def add(self, kind: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        """A node behind the network."""
        self.after.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def written(self, network: onnx.ModelProto) -> bytes:
        """The whole network with its new input and outputs."""
        graph = self.graph
        nodes = [*self.before, *graph.node, *self.after]
        shape = [self.batch, 1, self.side, self.side]
        new = {"node": nodes, "input": [helper.make_tensor_value_info(INPUT, _SINGLE, shape)]}
        new["output"] = [
            helper.make_tensor_value_info(name, _SINGLE, [None] * sides) for name, sides in self.outputs.items()
        ]
        for name, content in new.items():
            graph.ClearField(name)
            getattr(graph, name).extend(content)
        graph.ClearField("value_info")
        return bytes(network.SerializeToString())


def _in_front(extension: _Extension, shape: Shape, description: OnnxDescription) -> None:
    """From pixels in 0…1 to the network's own input."""
    stated = description.input
    _refuse_other_input(shape, description)
    scale, offset = (values.reshape(1, -1, 1, 1) for values in stated.scaling())
    chain = [("Mul", extension.constant("scale", scale)), ("Add", extension.constant("offset", offset))]
    at, nodes = INPUT, []
    for i, (kind, constant) in enumerate(chain):
        nodes.append(helper.make_node(kind, [at, constant], [f"lungsight_input_{i}"]))
        at = f"lungsight_input_{i}"
    if stated.layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [at], ["lungsight_nhwc"], perm=[0, 2, 3, 1]))
        at = "lungsight_nhwc"
    nodes.append(helper.make_node("Cast", [at], [shape.input], to=shape.input_type))
    extension.before, extension.side = nodes, stated.size
    extension.batch = shape.input_shape[0] or "n"


def _refuse_other_input(shape: Shape, description: OnnxDescription) -> None:
    c, s = description.input.channels, description.input.size
    wanted = (c, s, s) if description.input.layout == "NCHW" else (s, s, c)
    if shape.input_type not in _INPUTS:
        raise UnusableNetworkError(f"its input holds {TensorProto.DataType.Name(shape.input_type)}, not numbers")
    has = shape.input_shape
    if len(has) != 4 or any(side not in (0, one) for side, one in zip(has[1:], wanted, strict=True)):
        stated = " x ".join(str(side or "any") for side in has)
        raise UnusableNetworkError(f"its input is {stated}, not {' x '.join(map(str, ('n', *wanted)))} as described")


def _numbers(extension: _Extension, shape: Shape, description: OnnxDescription) -> tuple[str, str]:
    """The tensor [N, numbers] that is read, and what is still to be done to it: behind a softmax, nothing is lost."""
    activation: str = description.output.activation
    read, last = shape.output, _producer(extension.graph, shape.output)
    expected = "sigmoid" if description.output.one_by_one else "softmax"
    if last is not None and activation == "none" and _ACTIVATIONS.get(last.op_type) == expected:
        read, activation = last.input[0], expected
    k = len(description.output.classes)
    sides = [side for side in shape.output_shape[1:] if side != 1] or [1]
    if shape.output_shape and 0 not in sides and sides != [k]:
        raise UnusableNetworkError(f"it gives {' x '.join(map(str, sides))} numbers, and {k} classes are described")
    cast = extension.add("Cast", [read], "lungsight_numbers", to=_SINGLE)
    return extension.add("Flatten", [cast], "lungsight_flat", axis=1), activation


def _logits(extension: _Extension, numbers: str, activation: str, description: OnnxDescription) -> None:
    """One number for each class, whose softmax is the probabilities."""
    least = extension.constant("least", _LEAST)
    if not description.output.one_by_one:
        if activation == "none":
            some = extension.add("Max", [numbers, least], "lungsight_some")
            numbers = extension.add("Log", [some], "lungsight_log")
        extension.add("Identity", [numbers], LOGITS)
    else:
        place = extension.constant("place", [description.output.classes.index(description.read)], np.int64)
        one = extension.add("Gather", [numbers, place], "lungsight_one", axis=1)
        if activation == "none":
            rest = extension.add("Sub", [extension.constant("whole", 1.0), one], "lungsight_rest")
            pair = [extension.add("Log", [extension.add("Max", [p, least], f"{p}_some")], f"{p}_log")
                    for p in (one, rest)]  # fmt: skip
        else:
            pair = [one, extension.add("Sub", [one, one], "lungsight_zero")]
        extension.add("Concat", pair, LOGITS, axis=1)
    extension.outputs[LOGITS] = 2


def _maps(extension: _Extension, numbers: str, description: OnnxDescription) -> None:
    """Maps and features, where the numbers are a linear layer of an average over places."""
    graph = extension.graph
    read = extension.after[0].input[0]
    linear = _linear(graph, read)
    if linear is None:
        return
    vector, weights = linear
    extension.add("Cast", [vector], "lungsight_vector", to=_SINGLE)
    extension.add("Flatten", ["lungsight_vector"], FEATURES, axis=1)
    extension.outputs[FEATURES] = 2
    places = _averaged(graph, vector)
    if places is None or len(weights) != len(description.output.classes):
        return
    if description.output.one_by_one:
        row = weights[description.output.classes.index(description.read)]
        weights = np.stack([row, np.zeros_like(row)])
    cast = extension.add("Cast", [places], "lungsight_places", to=_SINGLE)
    extension.add("Conv", [cast, extension.constant("linear", weights[:, :, None, None])], MAPS)
    extension.outputs[MAPS] = 4


def _linear(graph: onnx.GraphProto, tensor: str) -> tuple[str, Floats] | None:
    """What goes into the linear layer behind ``tensor``, and its weights, float32 [numbers, c]; None without one."""
    node = _producer(graph, _through_shaping(graph, tensor))
    if node is not None and node.op_type == "Add":  # MatMul and a bias
        node = next((p for name in node.input if (p := _producer(graph, name)) and p.op_type == "MatMul"), None)
    if node is None or node.op_type not in ("Gemm", "MatMul"):
        return None
    weights = constant_of(graph, node.input[1])
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if weights is None or weights.ndim != 2 or attributes.get("transA"):
        return None
    turned = weights if attributes.get("transB") else weights.T
    return node.input[0], np.ascontiguousarray(turned * attributes.get("alpha", 1.0), dtype=np.float32)


def _averaged(graph: onnx.GraphProto, vector: str) -> str | None:
    """The tensor [N, c, h, w] whose average over places is ``vector``; None if it isn't one."""
    node = _producer(graph, _through_shaping(graph, vector))
    if node is None:
        return None
    if node.op_type == "GlobalAveragePool":
        return str(node.input[0])
    if node.op_type != "ReduceMean":
        return None
    stated = next((list(one.ints) for one in node.attribute if one.name == "axes"), None)
    axes = constant_of(graph, node.input[1]) if stated is None and len(node.input) > 1 else stated
    return None if axes is None or {int(axis) % 4 for axis in axes} != {2, 3} else str(node.input[0])


def _through_shaping(graph: onnx.GraphProto, tensor: str) -> str:
    while (node := _producer(graph, tensor)) is not None and node.op_type in _SHAPING:
        tensor = node.input[0]
    return tensor


def _producer(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    return next((node for node in graph.node if tensor in node.output), None)


def constant_of(graph: onnx.GraphProto, name: str) -> NDArray[np.generic] | None:
    """A tensor of the graph, also behind a Cast or an Identity; None if it isn't constant."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return np.asarray(numpy_helper.to_array(tensor))
    node = _producer(graph, name)
    if node is not None and node.op_type == "Constant":
        value = next((one.t for one in node.attribute if one.name == "value"), None)
        return None if value is None else np.asarray(numpy_helper.to_array(value))
    return constant_of(graph, node.input[0]) if node is not None and node.op_type in ("Cast", "Identity") else None


def _sides(stated: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(int(side.dim_value) for side in stated.type.tensor_type.shape.dim)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors other names, also where a node's own graph reads them."""
    for tensor in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _rename(inner, names)
