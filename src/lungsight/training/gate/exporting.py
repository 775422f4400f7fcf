"""From trained heads to gate.onnx: the encoder and the heads are exported apart and joined, since the encoder is the
same in every training."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import compose
from torch import Tensor, nn

from lungsight.components.input_gate import OUTPUTS
from lungsight.components.runtime import INPUT, open_network
from lungsight.networks.gate_network import GateEncoder, GateHeads
from lungsight.networks.half_precision import round_to_half, store_as_half, without_traces

_BETWEEN = "features"
_TOLERANCE = 0.1  # of logits, on noise: the export folds the encoder's norms into weights, which are rounded anew


def export_encoder(encoder: GateEncoder, side: int) -> bytes:
    """ONNX with input ``pixels`` [N, 1, side, side] and output ``features`` [N, features]."""
    return _export(encoder, torch.rand(2, 1, side, side), INPUT, (_BETWEEN,))


def export_gate(encoder: GateEncoder, exported_encoder: bytes, heads: GateHeads, side: int) -> bytes:
    """ONNX with input ``pixels`` [N, 1, side, side] and outputs ``kinds``, ``turns``, ``signs``, ``distance``; its
    large weights stored as float16, to which those of ``heads`` are rounded."""
    round_to_half(heads)
    features = heads.centre.numel()
    exported_heads = _export(heads.eval(), torch.rand(2, features), _BETWEEN, OUTPUTS)
    first, second = (onnx.load_model_from_string(part) for part in (exported_encoder, exported_heads))
    joined = compose.merge_models(
        compose.add_prefix(first, "encoder/", rename_inputs=False, rename_outputs=False),
        compose.add_prefix(second, "heads/", rename_inputs=False, rename_outputs=False),
        io_map=[(_BETWEEN, _BETWEEN)],
    )
    exported = bytes(store_as_half(without_traces(joined)).SerializeToString())
    _check(encoder, heads, exported, side)
    return exported


def _export(module: nn.Module, probe: Tensor, taken: str, given: tuple[str, ...]) -> bytes:
    program = torch.onnx.export(
        module,
        (probe,),
        dynamo=True,
        verbose=False,
        input_names=[taken],
        output_names=list(given),
        dynamic_shapes=({0: torch.export.Dim("N", min=1, max=4096)},),
        external_data=False,
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return bytes(model.SerializeToString())


@torch.no_grad()
def _check(encoder: GateEncoder, heads: GateHeads, exported: bytes, side: int) -> None:
    """The file must say what the network says."""
    probe = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))
    said = open_network(exported, OUTPUTS, 1, "onnxruntime").run(OUTPUTS, probe.numpy())
    for name, stored, expected in zip(OUTPUTS, said, heads(encoder(probe)), strict=True):
        if not np.allclose(stored, expected.numpy(), rtol=0, atol=_TOLERANCE):
            raise RuntimeError(f"the exported gate says other {name} than the trained one")
