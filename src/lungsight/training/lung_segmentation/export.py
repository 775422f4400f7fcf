"""From a trained lung segmentation network to the two files of a package."""

from __future__ import annotations

from pathlib import Path

import onnx

from lungsight import RESEARCH_ONLY
from lungsight._files import write_whole
from lungsight.components.lung_segmentation import OUTPUT, LungSegmentationDescription
from lungsight.networks.lung_network import LungNetwork
from lungsight.networks.onnx_export import export_onnx

NETWORK, DESCRIPTION = "lung_fields.onnx", "lung_fields.json"


def export_lung_segmentation(network: LungNetwork, description: LungSegmentationDescription, folder: Path) -> None:
    """Write ``lung_fields.onnx``, its large weights as float16, and ``lung_fields.json`` into ``folder``."""
    side = description.image_size
    model = export_onnx(network, (1, side, side), (OUTPUT,), half=True)
    onnx.helper.set_model_props(model, {"research_only": RESEARCH_ONLY})
    write_whole(folder / NETWORK, model.SerializeToString())
    write_whole(folder / DESCRIPTION, description.model_dump_json(indent=2) + "\n")
