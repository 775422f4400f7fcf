"""What an ONNX file from elsewhere may not do: name files of this machine, or ask for other people's code."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data

_STANDARD_DOMAINS = ("", "ai.onnx")


class UnusableNetworkError(ValueError):
    """An ONNX file that isn't a network lungsight may or can run; ``str()`` says why, without a full stop."""


def refuse_foreign(onnx_file: bytes) -> None:
    """Refuse what names files of this machine (external data) or needs operators that aren't ONNX's own.

    Raises:
        UnusableNetworkError: it does, or isn't an ONNX file.
    """
    try:
        model = onnx.load_model_from_string(onnx_file)
    except DecodeError as error:
        raise UnusableNetworkError("it isn't an ONNX file") from error
    own = {(function.domain, function.name) for function in model.functions}
    bodies = [model.graph, *model.functions]
    nodes = [node for body in bodies for node in _nodes(body)]
    foreign = {
        f"{node.domain}.{node.op_type}"
        for node in nodes
        if node.domain not in _STANDARD_DOMAINS and (node.domain, node.op_type) not in own
    }
    if foreign:
        raise UnusableNetworkError(f"it uses operators that aren't ONNX's own ({', '.join(sorted(foreign))})")
    if any(uses_external_data(tensor) for tensor in _tensors(model, nodes)):
        raise UnusableNetworkError("its weights lie in another file")


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
