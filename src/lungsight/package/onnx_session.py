"""An ONNX file from elsewhere to a session of onnxruntime; what may not or can't be run is refused."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data

_STANDARD_DOMAINS = ("", "ai.onnx")


class UnusableNetwork(ValueError):
    """An ONNX file that isn't a network lungsight may or can run; ``str()`` says why, without a full stop."""


def open_session(onnx_file: bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """A session that runs the network on ``threads`` cores (0: all). Safe to call from several threads.

    Raises:
        UnusableNetwork: not ONNX, not self-contained, with operators that aren't ONNX's own, or not loadable.
    """
    refuse_foreign(onnx_file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle cores decode the next image
    options.log_severity_level = 4  # what matters comes as an exception
    try:
        return onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds, with no base of their own
        raise UnusableNetwork(f"onnxruntime can't load it ({_first_line(error)})") from error


def refuse_foreign(onnx_file: bytes) -> None:
    """A model from elsewhere may name files of this machine (external data) or ask for other people's code.

    Raises UnusableNetwork."""
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
