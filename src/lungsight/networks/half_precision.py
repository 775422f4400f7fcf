"""Weights stored in half the space: float16 on disk, float32 at work.

A network's large tensors are rounded to float16 before it is exported (:func:`round_to_half`), so that the PyTorch
network and its ONNX file say the same; :func:`store_as_half` then stores those as float16 with a Cast to float32
behind each, which onnxruntime folds away when it loads the file. Where the exporter folds a batch norm into a kernel,
the product is rounded once more: the two then agree to about one part in a thousand, not to the bit. Small tensors
(biases, norms, scalings) stay float32: they weigh nothing, and a running variance may lie outside float16's range.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

#: Fewer values than these aren't worth a node.
_WORTH = 256
_LARGEST = float(np.finfo(np.float16).max)


@torch.no_grad()
def round_to_half(network: nn.Module) -> None:
    """Round every tensor that :func:`store_as_half` would store as float16 to the nearest float16, in place."""
    for tensor in network.state_dict().values():  # detached, but of the same memory
        if tensor.dtype == torch.float32 and _fits(tensor.shape, float(tensor.abs().max()) if tensor.numel() else 0):
            tensor.copy_(tensor.half().float())


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model`` whose large float32 initialisers are float16, each cast back to float32 under its old name.

    Values are rounded to the nearest float16 where they weren't already. Its outputs are those of the rounded
    network in float32. Initialisers of subgraphs and functions stay as they are."""
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    graph = stored.graph
    casts: list[onnx.NodeProto] = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or not _fits(tuple(tensor.dims), _largest_of(tensor)):
            continue
        values = numpy_helper.to_array(tensor).astype(np.float16)
        name, half = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(values, half))
        casts.append(helper.make_node("Cast", [half], [name], name=f"{name}_to_float", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    _forget(graph, {name for cast in casts for name in cast.output})
    return stored


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model`` without what torch's exporter notes of its own work: source lines and paths of the machine
    it ran on, as many bytes as a small network's weights."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    graph = bare.graph
    for part in (bare, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    return bare


def _fits(shape: tuple[int, ...], largest: float) -> bool:
    return len(shape) > 1 and int(np.prod(shape)) >= _WORTH and largest <= _LARGEST


def _largest_of(tensor: onnx.TensorProto) -> float:
    values: NDArray[np.float32] = numpy_helper.to_array(tensor)
    return float(np.abs(values).max(initial=0.0))


def _forget(graph: onnx.GraphProto, names: set[str]) -> None:
    """IR versions below 4 list initialisers among the inputs, too; a node's output may not be one."""
    for listed in (graph.input, graph.value_info):
        kept = [value for value in listed if value.name not in names]
        del listed[:]
        listed.extend(kept)
