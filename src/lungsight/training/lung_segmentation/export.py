"""From a trained lung network to the two files a package carries."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch

from lungsight import RESEARCH_ONLY
from lungsight._files import write_whole
from lungsight.components.lung_segmentation import OUTPUT, LungSegmentationDescription
from lungsight.components.runtime import INPUT
from lungsight.networks.half_precision import round_to_half, store_as_half, without_traces
from lungsight.networks.lung_network import LungNetwork

NETWORK, DESCRIPTION = "lung_fields.onnx", "lung_fields.json"


def export_lung_fields(network: LungNetwork, description: LungSegmentationDescription, folder: Path) -> None:
    """Write ``lung_fields.onnx``, its large weights as float16, and ``lung_fields.json``. Rounds the network's
    weights to float16 in place; the exporter then folds batch norms into them, which rounds once more."""
    network = network.cpu().eval().to(memory_format=torch.contiguous_format)
    round_to_half(network)
    side = description.image_size
    program = torch.onnx.export(
        network,
        (torch.rand(2, 1, side, side),),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={"pixels": {0: torch.export.Dim("N", min=1, max=4096)}},
        external_data=False,
    )
    assert program is not None
    model = store_as_half(without_traces(program.model_proto))
    onnx.helper.set_model_props(model, {"research_only": RESEARCH_ONLY})
    write_whole(folder / NETWORK, model.SerializeToString())
    write_whole(folder / DESCRIPTION, description.model_dump_json(indent=2) + "\n")
