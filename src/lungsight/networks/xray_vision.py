"""torchxrayvision's classifiers by their names (Cohen et al. 2022), prepared and scaled as that library does it.

Nothing is downloaded: weights come from torchxrayvision's own cache, or from a file of tensors.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lungsight.components.predictor import WEIGHTS, Scores, logits_of
from lungsight.components.preprocessing import Preprocessing
from lungsight.errors import LungsightError, MissingExtraError

Floats = NDArray[np.float32]
_NOT_ONNX = "The weights of a torchxrayvision model aren't shuffled: that is done with ONNX networks."


class XrayVisionError(LungsightError):
    """A torchxrayvision model that can't be used as it was named."""


class XrayVisionModel:
    """One output of a torchxrayvision classifier against its opposite, as ``components.predictor`` asks for it.

    Args:
        name: as torchxrayvision has it, ``densenet121-res224-all``.
        output: the pathology that is read.
        weights: a file of tensors (a state dict); None for torchxrayvision's cache.

    Raises:
        XrayVisionError: there is no such model, output or file.
        MissingExtraError: torchxrayvision isn't installed.
    """

    def __init__(self, name: str, output: str, weights: Path | None = None) -> None:
        library = _library()
        stated = _stated(library, name)
        self._place = _place(name, stated["labels"], output)
        self._network = _from_file(library, name, stated, weights) if weights else _from_cache(library, name, stated)
        self._network.eval()
        self._library = library
        self._size = int(stated["input_resolution"])
        self.preprocessing = Preprocessing(image_size=self._size, geometry="crop")
        self.lacks: Mapping[str, str] = {WEIGHTS: _NOT_ONNX}
        self.model = f"xrv-{name}-{_digest(self._network, output)}"

    def prepare(self, pixels: Floats) -> Floats:
        """The central square at the network's size, scaled to -1024…1024: float32 [1, size, size]."""
        scaled = self._library.utils.normalize(pixels, 1.0)[None]
        square = self._library.datasets.XRayCenterCrop()(scaled)
        return np.asarray(self._library.datasets.XRayResizer(self._size)(square), dtype=np.float32)

    def run(self, prepared: Sequence[Floats]) -> Scores:
        """The output's score and its opposite; maps are those of the last layer's weights (Zhou et al. 2016)."""
        linear, seen = _last_layer(self._network), dict[str, Any]()
        hooks = (
            linear.register_forward_hook(lambda _, given, __: seen.update(features=given[0])),
            _last_places(self._network).register_forward_hook(lambda _, __, made: seen.update(places=made)),
        )
        try:
            with torch.inference_mode():
                scores = self._network(torch.from_numpy(np.stack(prepared)))[:, self._place].double().numpy()
                places, row = seen["places"].relu(), linear.weight[self._place]
                map_ = torch.einsum("nchw,c->nhw", places, row).numpy()
        finally:
            for hook in hooks:
                hook.remove()
        maps = np.stack([map_, np.zeros_like(map_)], axis=1).astype(np.float32)
        return Scores(logits_of(np.stack([scores, 1 - scores], axis=1)), maps, seen["features"].numpy())

    def network(self) -> bytes:
        """There is none in ONNX."""
        raise XrayVisionError(self.model, "isn't an ONNX network", "ask a model that is one")


def outputs_of(name: str) -> tuple[str, ...]:
    """The pathologies that a model gives. Raises XrayVisionError, MissingExtraError."""
    return tuple(label for label in _stated(_library(), name)["labels"] if label)


def _library() -> Any:
    with warnings.catch_warnings():  # torchxrayvision silences the warnings of all libraries when it is imported
        try:
            import torchxrayvision
        except ModuleNotFoundError as error:
            hint = "`pip install torchxrayvision` brings it"
            raise MissingExtraError(error.name or "torchxrayvision", "is not installed", hint) from error
    torchxrayvision.utils.warning_log["norm_check"] = True  # it would print whether the first image is well scaled
    return torchxrayvision


def _stated(library: Any, name: str) -> Mapping[str, Any]:
    known = {key: value for key, value in library.models.model_urls.items() if "-res" in key}
    if name not in known:
        raise XrayVisionError(f"xrv:{name}", "isn't a model of torchxrayvision", f"give one of {', '.join(known)}")
    return dict(known[name])


def _place(name: str, labels: Sequence[str], output: str) -> int:
    by_name = {label.lower(): place for place, label in enumerate(labels) if label}
    if output.lower() not in by_name:
        problem = f"has no output {output}" if output else "has several outputs, and none of them is named"
        listed = ", ".join(label for label in labels if label)
        raise XrayVisionError(f"xrv:{name}", problem, f"name one with --output: {listed}")
    return by_name[output.lower()]


def _from_cache(library: Any, name: str, stated: Mapping[str, Any]) -> nn.Module:
    file = _cache(library, stated)
    if not file.is_file():
        fetch = f"python -c \"import torchxrayvision as x; x.models.get_model('{name}')\""
        hint = f"fetch them once with `{fetch}`, or name a file with --weights"
        raise XrayVisionError(f"xrv:{name}", f"its weights aren't at {file}", hint)
    network: nn.Module = library.models.get_model(name)
    return network


def _from_file(library: Any, name: str, stated: Mapping[str, Any], weights: Path) -> nn.Module:
    """The architecture of ``name`` with the tensors of a file: nothing in the file can run."""
    try:
        tensors = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise XrayVisionError(weights, "can't be read", "name the file of the weights") from error
    except Exception as error:  # pickle, zip and torch raise a dozen kinds
        place = _cache(library, stated)
        hint = f"save the network's state_dict, or put the file where torchxrayvision looks: {place}"
        raise XrayVisionError(weights, "holds more than tensors, or isn't a PyTorch file", hint) from error
    try:
        if name.startswith("densenet"):
            return _densenet(library, stated, tensors)
        with tempfile.TemporaryDirectory() as folder:  # this architecture is only made with weights from a cache
            torch.save(tensors, Path(folder) / _cache(library, stated).name)
            network: nn.Module = library.models.get_model(name, cache_dir=folder)
            return network
    except (RuntimeError, TypeError, AttributeError) as error:
        raise XrayVisionError(weights, f"doesn't hold the tensors of {name}", "name another file") from error


def _densenet(library: Any, stated: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    network: Any = library.models.DenseNet(num_classes=len(stated["labels"]))
    network.load_state_dict({name: tensor for name, tensor in tensors.items() if name != "op_threshs"})
    network.op_threshs = torch.tensor(stated["op_threshs"]) if "op_threshs" in stated else None
    network.input_resolution = stated["input_resolution"]
    made: nn.Module = network
    return made


def _cache(library: Any, stated: Mapping[str, Any]) -> Path:
    return Path(library.utils.get_cache_dir()) / Path(stated["weights_url"]).name


def _last_layer(network: nn.Module) -> nn.Linear:
    return next(module for module in reversed(list(network.modules())) if isinstance(module, nn.Linear))


def _last_places(network: Any) -> nn.Module:
    """The module whose output is averaged over places; DenseNet applies a ReLU to it first, ResNet has done so."""
    module: nn.Module = network.model.layer4 if hasattr(network, "model") else network.features
    return module


def _digest(network: nn.Module, output: str) -> str:
    hashed = hashlib.sha256(output.lower().encode())
    for name, tensor in network.state_dict().items():
        hashed.update(name.encode())
        hashed.update(tensor.cpu().numpy().tobytes())
    return hashed.hexdigest()[:12]
