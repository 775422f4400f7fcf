"""torchxrayvision's DenseNet-121 at its 224 px, with its own reading, cropping and resizing.

Random weights: its trained ones come from the network, and would do the same work.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
import torch
import torchxrayvision as xrv
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchvision import transforms

from contenders import Task

PNEUMONIA = 8


def probabilities(resizer: str) -> Task:
    """Probabilities alone, with no heatmap. ``resizer`` is torchxrayvision's: skimage (its default) or cv2."""
    model, prepare = _model(), _prepare(resizer)

    @torch.inference_mode()
    def task(files: list[Path]) -> int:
        return sum(len(torch.sigmoid(model(prepare(_load(file)))[0])) == 18 for file in files)

    return task


def heatmap(resizer: str) -> Task:
    """Probabilities, and Grad-CAM at the last features, put back on the image's own grid."""
    model, prepare = _model(), _prepare(resizer)

    def task(files: list[Path]) -> int:
        with GradCAM(model=model, target_layers=[model.features.denseblock4]) as cam:
            return sum(one(cam, file) for file in files)

    def one(cam: GradCAM, file: Path) -> bool:
        image = _load(file)
        grey = cam(input_tensor=prepare(image), targets=[ClassifierOutputTarget(PNEUMONIA)])[0]
        answers = torch.sigmoid(cam.outputs.detach())[0]
        return bool(np.isfinite(_uncropped(grey, *image.shape[1:])).all()) and len(answers) == 18

    return task


def _model() -> torch.nn.Module:
    return xrv.models.DenseNet(weights=None, num_classes=18).eval()


def _load(file: Path) -> NDArray[np.float32]:
    if file.suffix == ".dcm":
        film = pydicom.dcmread(file)
        scaled = xrv.utils.normalize(film.pixel_array.astype(np.float32), 2**film.BitsStored - 1)
        return np.asarray(scaled, dtype=np.float32)[None]
    return np.asarray(xrv.utils.load_image(str(file)))


def _prepare(resizer: str) -> transforms.Compose:
    return transforms.Compose(
        [
            xrv.datasets.XRayCenterCrop(),
            xrv.datasets.XRayResizer(224, engine=resizer),
            lambda pixels: torch.from_numpy(pixels)[None],
        ]
    )


def _uncropped(grey: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A map of the central square on the whole image."""
    side = min(height, width)
    top, left = height // 2 - side // 2, width // 2 - side // 2
    whole = np.zeros((height, width), np.float32)
    whole[top : top + side, left : left + side] = cv2.resize(grey, (side, side))
    return whole
