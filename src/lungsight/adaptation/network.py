"""The network of a package with another last layer: map, bias and logit stay one sum.

A class's map weighs the features cell by cell and its logit is the map's mean plus a bias, so the same weights give
both. The map's weights and the bias are exchanged in the ONNX file and in ``weights.safetensors``.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import load as load_safetensors

from lungsight.components.classifier import OUTPUTS
from lungsight.components.onnx_adaptation import constant_of, loaded
from lungsight.components.onnx_safety import UnusableNetworkError
from lungsight.statistics.outcomes import Floats

_LOGITS, _MAPS = OUTPUTS
#: The last layer as ``lungsight train`` stores it.
_WEIGHTS, _BIAS = "weigh.weight", "bias"


def with_last_layer_changed(content: bytes, weights: Floats, bias: Floats) -> bytes:
    """The ONNX network with ``weights`` [k, c] added to those of the maps and ``bias`` [k] to that of the logits.

    Raises:
        UnusableNetworkError: it doesn't end in one linear layer with a bias.
    """
    network = loaded(content)
    graph = network.graph
    maps = next((node for node in graph.node if _MAPS in node.output), None)
    if maps is None or maps.op_type != "Conv" or len(maps.input) != 2:
        raise UnusableNetworkError("its maps don't come from one layer without a bias")
    _add(graph, maps, 1, weights[:, :, None, None])
    sums = next((node for node in graph.node if _LOGITS in node.output), None)
    places = [] if sums is None or sums.op_type != "Add" else [
        i for i, name in enumerate(sums.input) if constant_of(graph, name) is not None
    ]  # fmt: skip
    if sums is None or len(places) != 1:
        raise UnusableNetworkError("its logits aren't a mean plus a bias")
    stated = _add(graph, sums, places[0], bias)
    _forget_unused(graph)
    properties = {one.key: one.value for one in network.metadata_props}
    if "bias" in properties:
        helper.set_model_props(network, properties | {"bias": json.dumps(stated.ravel().tolist())})
    return bytes(network.SerializeToString())


def weights_changed(content: bytes, weights: Floats, bias: Floats) -> dict[str, np.ndarray]:
    """The arrays of ``weights.safetensors`` with the same change, if they have such a layer."""
    stored = load_safetensors(content)
    layer = stored.get(_WEIGHTS)
    if layer is None or layer.shape != (*weights.shape, 1, 1) or stored[_BIAS].shape != bias.shape:
        return stored
    changed = {_WEIGHTS: layer + weights[:, :, None, None], _BIAS: stored[_BIAS] + bias}
    return stored | {name: values.astype(np.float32) for name, values in changed.items()}


def _add(graph: onnx.GraphProto, node: onnx.NodeProto, place: int, change: Floats) -> Floats:
    """Add ``change`` to a constant that ``node`` takes, as float32; returns the new values."""
    before = constant_of(graph, node.input[place])
    if before is None or before.size != change.size:
        raise UnusableNetworkError("its last layer isn't one of constant weights for each class")
    after = before.astype(np.float64) + change.reshape(before.shape)
    taken = {name for one in graph.node for name in one.output} | {tensor.name for tensor in graph.initializer}
    name = next(name for i in range(len(taken) + 1) if (name := f"adapted_{i}") not in taken)
    graph.initializer.append(numpy_helper.from_array(after.astype(np.float32), name))
    node.input[place] = name
    return after


def _forget_unused(graph: onnx.GraphProto) -> None:
    """Drop weights, and the nodes that only make weights, that nothing takes any more."""
    while True:
        taken = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        idle = [node for node in graph.node if not taken.intersection(node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    for tensors in (graph.initializer, graph.value_info):
        kept = [tensor for tensor in tensors if tensor.name in taken or tensors is graph.value_info]
        del tensors[:]
        tensors.extend(kept)
