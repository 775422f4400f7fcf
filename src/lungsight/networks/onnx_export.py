"""Export to ONNX, with large weights stored as float16: half the space on disk, float32 at work.

A network's large tensors are rounded to float16 before the export (:func:`round_to_half`), so that the PyTorch
network and its ONNX file agree; :func:`store_as_half` then stores them as float16 with a Cast to float32 behind each,
which onnxruntime folds away when it loads the file. Where the exporter folds a batch norm into a kernel, the product
is rounded once more: the two then agree to about one part in a thousand, not to the bit. Small tensors (biases,
norms, scalings) stay float32: they take little space, and a running variance may exceed float16's range.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from lungsight.components.runtime import INPUT

#: Tensors of fewer values stay float32: they aren't worth a Cast node.
_FEWEST_VALUES = 256
_LARGEST = float(np.finfo(np.float16).max)


def export_onnx(
    network: nn.Module, shape: tuple[int, ...], outputs: tuple[str, ...], *, name: str = INPUT, half: bool = False
) -> onnx.ModelProto:
    """Export a network to ONNX, without torch's notes on its own work; the number N of images is free.

    Args:
        network: takes one tensor [N, ...]; afterwards it is on the CPU and in evaluation mode.
        shape: of the input of one image.
        outputs: names of the outputs.
        name: of the input.
        half: round the network's large weights to float16, in place, and store them so.
    """
    network = network.cpu().eval().to(memory_format=torch.contiguous_format)
    if half:
        round_to_half(network)
    program = torch.onnx.export(
        network,
        (torch.rand(2, *shape),),
        dynamo=True,
        verbose=False,
        input_names=[name],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("N", min=1, max=4096)},),
        external_data=False,
    )
    assert program is not None
    model = without_traces(program.model_proto)
    return store_as_half(model) if half else model


@torch.no_grad()
def round_to_half(network: nn.Module) -> None:
    """Round every tensor that :func:`store_as_half` would store as float16 to the nearest float16, in place."""
    for tensor in network.state_dict().values():  # detached, but of the same memory
        if tensor.dtype == torch.float32 and _fits(tensor.shape, float(tensor.abs().max()) if tensor.numel() else 0):
            tensor.copy_(tensor.half().float())


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy ``model`` with its large float32 initialisers as float16, each cast back to float32 under its old name.

    Values are rounded to the nearest float16. The outputs are those of the rounded network in float32. Initialisers
    of subgraphs and functions stay as they are.
    """
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
    """Copy ``model`` without the exporter's notes: source lines and paths of the machine it ran on.

    They take as many bytes as the weights of a small network.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    graph = bare.graph
    for part in (bare, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    return bare


def _fits(shape: tuple[int, ...], largest: float) -> bool:
    return len(shape) > 1 and int(np.prod(shape)) >= _FEWEST_VALUES and largest <= _LARGEST


def _largest_of(tensor: onnx.TensorProto) -> float:
    return float(np.abs(numpy_helper.to_array(tensor)).max(initial=0.0))


def _forget(graph: onnx.GraphProto, names: set[str]) -> None:
    """IR versions below 4 list initialisers among the inputs, too; a node's output may not be one."""
    for listed in (graph.input, graph.value_info):
        kept = [value for value in listed if value.name not in names]
        del listed[:]
        listed.extend(kept)
