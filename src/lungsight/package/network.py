"""The network of a package, run by onnxruntime.

Its contract: input ``pixels``, float32 [N, 1, side, side] in 0…1; outputs ``logits``, float32 [N, K], and ``maps``,
float32 [N, K, h, w]. For each image and class the logit is the mean of the map plus the class's bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx.external_data_helper import uses_external_data

Floats = NDArray[np.float32]

INPUT = "pixels"
OUTPUTS = ("logits", "maps")

_STANDARD_DOMAINS = ("", "ai.onnx")


class Outputs(NamedTuple):
    """What the network says: ``logits`` float32 [N, K] and ``maps`` float32 [N, K, h, w]."""

    logits: Floats
    maps: Floats


class UnusableNetwork(ValueError):
    """An ONNX file that isn't a network lungsight may or can run; ``str()`` says why, without a full stop."""


class Network:
    """A loaded network. Safe to call from several threads.

    Args:
        onnx_file: the bytes of ``network.onnx``.
        threads: cores to use for one batch; 0 leaves it to onnxruntime (all of them).
        features: also hand out what the last layer weighs (:meth:`run_with_features`).

    Raises:
        UnusableNetwork: not ONNX, not self-contained, with operators that aren't ONNX's own, or off the contract.
    """

    def __init__(self, onnx_file: bytes, threads: int = 0, *, features: bool = False) -> None:
        _refuse_foreign(onnx_file)
        self._features = ""
        if features:
            onnx_file, self._features = _with_features(onnx_file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle cores decode the next image
        options.log_severity_level = 4  # what matters comes as an exception
        try:
            self._session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a dozen kinds, with no base of their own
            raise UnusableNetwork(f"onnxruntime can't load it ({_first_line(error)})") from error
        self._check_contract()

    def run(self, pixels: Floats) -> Outputs:
        """What the network says of ``pixels``, float32 [N, 1, side, side] in 0…1."""
        logits, maps = self._session.run(list(OUTPUTS), {INPUT: pixels})
        return Outputs(logits, maps)

    def run_with_features(self, pixels: Floats) -> tuple[Outputs, Floats]:
        """:meth:`run`, and float32 [N, c]: what the last layer weighs, averaged over each image."""
        logits, maps, features = self._session.run([*OUTPUTS, self._features], {INPUT: pixels})
        return Outputs(logits, maps), features.mean(axis=(2, 3))

    def _check_contract(self) -> None:
        inputs = [(node.name, node.type, len(node.shape)) for node in self._session.get_inputs()]
        if inputs != [(INPUT, "tensor(float)", 4)]:
            raise UnusableNetwork(f"its input must be '{INPUT}', float32 [N, 1, side, side]")
        outputs = {node.name for node in self._session.get_outputs()}
        if not outputs.issuperset(OUTPUTS):
            raise UnusableNetwork(f"it must give {' and '.join(OUTPUTS)}, not {', '.join(sorted(outputs))}")


def bias_of(outputs: Outputs) -> Floats:
    """The bias [N, K]: what remains of each logit when the mean of its map is taken away."""
    return outputs.logits - outputs.maps.mean(axis=(2, 3))


def _with_features(onnx_file: bytes) -> tuple[bytes, str]:
    """The network with one more output, what goes into the layer that makes the maps, and that output's name."""
    model = onnx.load_model_from_string(onnx_file)
    last = next(node for node in model.graph.node if "maps" in node.output)
    name = str(last.input[0])
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return model.SerializeToString(), name


def _refuse_foreign(onnx_file: bytes) -> None:
    """A model from elsewhere may name files of this machine (external data) or ask for other people's code."""
    try:
        model = onnx.load_model_from_string(onnx_file)
    except DecodeError as error:
        raise UnusableNetwork("it isn't an ONNX file") from error
    own = {(function.domain, function.name) for function in model.functions}
    bodies = [model.graph, *model.functions]
    nodes = [node for body in bodies for node in _nodes(body)]
    foreign = {
        f"{node.domain}.{node.op_type}"
        for node in nodes
        if node.domain not in _STANDARD_DOMAINS and (node.domain, node.op_type) not in own
    }
    if foreign:
        raise UnusableNetwork(f"it uses operators that aren't ONNX's own ({', '.join(sorted(foreign))})")
    if any(uses_external_data(tensor) for tensor in _tensors(model, nodes)):
        raise UnusableNetwork("its weights lie in another file")


def _nodes(body: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    for node in body.node:
        yield node
        for graph in _subgraphs(node):
            yield from _nodes(graph)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for graph in [model.graph, *(graph for node in nodes for graph in _subgraphs(node))]:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
