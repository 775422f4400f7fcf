"""The network of a package.

Its contract: input ``pixels``, float32 [N, 1, side, side] in 0…1; outputs ``logits``, float32 [N, K], and ``maps``,
float32 [N, K, h, w]. For each image and class the logit is the mean of the map plus the class's bias.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from lungsight.components.onnx_safety import UnusableNetworkError, refuse_foreign
from lungsight.components.runtime import AUTO, open_network

__all__ = ["Network", "Outputs", "UnusableNetworkError", "bias_of"]

Floats = NDArray[np.float32]

OUTPUTS = ("logits", "maps")


class Outputs(NamedTuple):
    """What the network says: ``logits`` float32 [N, K] and ``maps`` float32 [N, K, h, w]."""

    logits: Floats
    maps: Floats


class Network:
    """A loaded network. Safe to call from several threads.

    Args:
        onnx_file: the bytes of ``network.onnx``.
        threads: cores to use for one batch; 0: all of them.
        runtime: what runs it: :mod:`lungsight.components.runtime`.
        features: also hand out what the last layer weighs (:meth:`run_with_features`).

    Raises:
        UnusableNetworkError: not ONNX, not self-contained, with operators of its own, or off the contract.
    """

    def __init__(self, onnx_file: bytes, threads: int = 0, *, runtime: str = AUTO, features: bool = False) -> None:
        self._features = ""
        if features:
            refuse_foreign(onnx_file)
            onnx_file, self._features = _with_features(onnx_file)
        self._network = open_network(onnx_file, OUTPUTS, threads, runtime, checked=features)

    @property
    def takes_batches(self) -> bool:
        """Whether several images at once are quicker than one by one: so on a GPU."""
        return self._network.takes_batches

    @property
    def gives_features(self) -> bool:
        """Whether :meth:`run_with_features` can be asked."""
        return bool(self._features)

    def run(self, pixels: Floats) -> Outputs:
        """What the network says of ``pixels``, float32 [N, 1, side, side] in 0…1."""
        logits, maps = self._network.run(OUTPUTS, pixels)
        return Outputs(logits, maps)

    def run_with_features(self, pixels: Floats) -> tuple[Outputs, Floats]:
        """:meth:`run`, and float32 [N, c]: what the last layer weighs, averaged over each image."""
        logits, maps, features = self._network.run((*OUTPUTS, self._features), pixels)
        return Outputs(logits, maps), features.mean(axis=(2, 3))


def bias_of(outputs: Outputs) -> Floats:
    """The bias [N, K]: what remains of each logit when the mean of its map is taken away."""
    return np.asarray(outputs.logits - outputs.maps.mean(axis=(2, 3)))


def _with_features(onnx_file: bytes) -> tuple[bytes, str]:
    """The network with one more output, what goes into the layer that makes the maps, and that output's name."""
    model = onnx.load_model_from_string(onnx_file)
    last = next((node for node in model.graph.node if "maps" in node.output and node.input), None)
    if last is None:
        raise UnusableNetworkError("it must give maps by a layer of its own")
    name = str(last.input[0])
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return model.SerializeToString(), name
