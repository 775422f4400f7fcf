"""What one writes by hand: a network of timm's in PyTorch, Pillow for reading, the grad-cam library for the heatmap.

The weights are random, for they don't change the work to be done. Everything else is as the libraries' own
introductions have it: parameters keep their gradients, one image is done after the other on all cores.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
import timm
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchvision import transforms

from contenders import Task


def heatmap(backbone: str, image_size: int) -> Task:
    """Probabilities, and Grad-CAM at the last convolution, resized to the image's own grid."""
    model = timm.create_model(backbone, num_classes=2).eval()
    last = model.layer4[-1] if hasattr(model, "layer4") else model.bn2
    prepare = transforms.Compose(
        [
            transforms.Resize((image_size, image_size)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    def task(files: list[Path]) -> int:
        with GradCAM(model=model, target_layers=[last]) as cam:
            return sum(one(cam, file) for file in files)

    def one(cam: GradCAM, file: Path) -> bool:
        image = _opened(file)
        grey = cam(input_tensor=prepare(image)[None], targets=[ClassifierOutputTarget(1)])[0]
        probabilities = torch.softmax(cam.outputs.detach(), dim=1)[0]
        evidence = cv2.resize(grey, image.size)
        return bool(np.isfinite(evidence).all()) and len(probabilities) == 2

    return task


def _opened(file: Path) -> Image.Image:
    if file.suffix == ".dcm":
        film = pydicom.dcmread(file)
        return Image.fromarray((film.pixel_array / (2**film.BitsStored - 1) * 255).astype(np.uint8)).convert("RGB")
    with Image.open(file) as opened:
        return opened.convert("RGB")
