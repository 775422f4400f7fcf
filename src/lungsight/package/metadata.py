"""``metadata.json``: a package described as MONAI's bundles are, so that a hub can list it.

The keys are those of MONAI's bundle specification (https://docs.monai.io/en/stable/mb_specification.html) and of its
JSON schema :data:`SCHEMA`. What MONAI asks for and nobody told the training is said to be not stated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lungsight.package.description import PackageDescription
from lungsight.package.in_words import parts_in_words

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
NOT_STATED = "not stated; for the authors"
#: The key, beside MONAI's own, that ties the file to its model.
MODEL = "lungsight_model"


def bundle_metadata(
    description: PackageDescription, *, tested: str = "", metrics: Mapping[str, object] | None = None
) -> str:
    """The file's content.

    Args:
        description: of the package, with the sha256 of its network.
        tested: one sentence about the last test; empty before there was one.
        metrics: the figures of that test, as JSON holds them.
    """
    model = description.model_id
    version = model.rpartition(" ")[2]
    software = description.software
    trained = f"trained {description.created:%Y-%m-%d} with lungsight {description.lungsight_version}"
    stated: dict[str, Any] = {
        "schema": SCHEMA,
        "version": version,
        "changelog": {version: "; ".join(filter(None, (trained, tested)))},
        "monai_version": "not used",
        "pytorch_version": software.get("torch", NOT_STATED),
        "numpy_version": software.get("numpy", NOT_STATED),
        "required_packages_version": {"lungsight": description.lungsight_version},
        "name": description.name,
        "task": f"Tells {_and(description.classes)} from one another in frontal chest radiographs",
        "description": f"{description.backbone}, average pooling and one linear layer, as ONNX; initial weights: "
        f"{description.initial_weights}. The maps are the logits region by region."
        + "".join(f" {said}" for said in parts_in_words(description).values()).replace("*", ""),
        "authors": NOT_STATED,
        "copyright": NOT_STATED,
        "intended_use": description.intended_use,
        "data_source": "; ".join(
            f"{s.name}: {s.images} images of {s.patients} patients, licence {s.licence}" for s in description.sources
        ),
        "pred_classes": ", ".join(description.classes),
        "network_data_format": _data_format(description),
        MODEL: model,
    }
    if metrics is not None:
        stated["eval_metrics"] = dict(metrics)
    return json.dumps(stated, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _data_format(description: PackageDescription) -> dict[str, Any]:
    side = description.preprocessing.image_size
    classes = {str(i): name for i, name in enumerate(description.classes)}
    of_classes = {"format": "classes", "num_channels": len(classes), "dtype": "float32", "is_patch_data": False}
    pixels = {
        "type": "image",
        "format": "magnitude",
        "modality": "CR, DX",
        "num_channels": 1,
        "spatial_shape": [side, side],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "grey, bright where the body is dense, after the preprocessing of package.json"},
    }
    logits = {"type": "logits", **of_classes, "spatial_shape": [], "value_range": [], "channel_def": classes}
    maps = {"type": "image", **of_classes, "spatial_shape": ["*", "*"], "value_range": [], "channel_def": classes}
    probabilities = logits | {"type": "probabilities", "value_range": [0, 1]}
    return {
        "inputs": {"pixels": pixels},
        "outputs": {"logits": logits, "maps": maps},
        "post_processed_outputs": {"probabilities": probabilities},
    }


def _and(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
