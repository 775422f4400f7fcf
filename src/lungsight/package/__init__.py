"""The model package on disk: write it, read it, verify it.

A package is a folder, or a zip of that folder, and holds nothing executable::

    network.onnx            the network that scanning runs
    weights.safetensors     its weights, for further training
    package.json            what it is (PackageDescription), with the sha256 of every other file
    MODEL_CARD.md           the same for a careful reader
    reference.safetensors   inputs with the outputs they must give, for the self-check
    trained_on.csv          which images and patients the model was trained and tuned on
    evidence.json           what a test found out, once there was one

and, where ``package.json`` describes them::

    lung_fields.onnx         finds the lungs
    gate.onnx                says whether an image is a frontal chest radiograph at all
    familiarity.safetensors  says how far an image lies from everything seen in training
"""

from lungsight.components.calibration import Calibration
from lungsight.components.classifier import Network
from lungsight.components.decision import Decision
from lungsight.components.preprocessing import Preprocessing
from lungsight.package.attach import add_evidence, complete
from lungsight.package.bundled import find_package
from lungsight.package.description import (
    PackageDescription,
    TrainingSource,
)
from lungsight.package.open import ModelPackage
from lungsight.package.trained_on import TrainedImage
from lungsight.package.write import write_package

__all__ = [
    "Calibration",
    "Decision",
    "ModelPackage",
    "Network",
    "PackageDescription",
    "Preprocessing",
    "TrainedImage",
    "TrainingSource",
    "add_evidence",
    "complete",
    "find_package",
    "write_package",
]
