"""A network with its weights shuffled, layer by layer from the last to the first."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from lungsight.components.classifier import OUTPUTS

MAPS = OUTPUTS[1]

#: Operators whose constant tensors are learned. An addition or a product counts for biases that stand alone.
_LEARNED_IN = frozenset(
    {
        "Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "LayerNormalization",
        "InstanceNormalization", "GroupNormalization", "PRelu", "Add", "Mul",
    }
)  # fmt: skip


class ShuffledNetwork:
    """An ONNX network and its layers.

    Attributes:
        layers: the names of each layer's weights and biases, of all layers that the output ``maps`` rests on, in the
            graph's order (the first is nearest the image). A tensor that several layers share belongs to the last.
        at_once: how many images it takes at a time; 0 for any number.
    """

    def __init__(self, onnx_file: bytes) -> None:
        self._model = _in_single_precision(onnx.load_model_from_string(onnx_file))
        self._tensors = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._values = {name: numpy_helper.to_array(tensor) for name, tensor in self._tensors.items()}
        self.layers = tuple(self._layers())
        self.at_once = int(self._model.graph.input[0].type.tensor_type.shape.dim[0].dim_value)

    def _layers(self) -> list[tuple[str, ...]]:
        """A node's learned tensors are a layer. What has a single value can't be shuffled and is left out."""
        layers, taken, needed = [], set[str](), {MAPS}
        for node in reversed(self._model.graph.node):
            if needed.isdisjoint(node.output):
                continue
            needed.update(node.input)
            names = [name for name in node.input if name in self._tensors and name not in taken]
            learned = tuple(name for name in dict.fromkeys(names) if self._values[name].size > 1)
            if node.op_type in _LEARNED_IN and learned:
                layers.append(learned)
                taken.update(learned)
        return layers[::-1]

    def shuffled(self, last: int, seed: int) -> bytes:
        """The network with the values of each tensor of the ``last`` layers in random order.

        The same seed shuffles a layer the same way, however many others are shuffled with it.
        """
        chosen = {name for layer in self.layers[len(self.layers) - last :] for name in layer}
        for place, (name, tensor) in enumerate(self._tensors.items()):
            values = self._values[name]
            if name in chosen:
                order = np.random.default_rng([seed, place]).permutation(values.size)
                values = values.ravel()[order].reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))
        content: bytes = self._model.SerializeToString()
        return content


def _in_single_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights may be stored as float16 with a Cast behind each; here they stand as the float32 that layers see."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    casts = [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in stored]
    for cast in casts:
        values = numpy_helper.to_array(stored[cast.input[0]]).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, cast.output[0]))
        model.graph.node.remove(cast)
    used = {name for node in model.graph.node for name in node.input}
    for name in {cast.input[0] for cast in casts} - used:
        model.graph.initializer.remove(stored[name])
    return model
