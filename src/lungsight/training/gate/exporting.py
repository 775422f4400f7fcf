"""From trained heads to gate.onnx.

The encoder and the heads are exported apart and joined, since the encoder is the same in every training.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper

from lungsight.components.input_gate import OUTPUTS
from lungsight.components.runtime import open_network
from lungsight.components.view import VIEW_OUTPUT
from lungsight.networks.gate_network import GateEncoder, GateHeads, ViewHead
from lungsight.networks.onnx_export import export_onnx, round_to_half, store_as_half

_BETWEEN = "features"
_TOLERANCE = 0.1  # of logits, on noise: the export folds the encoder's norms into weights, which are rounded anew


def export_encoder(encoder: GateEncoder, side: int) -> bytes:
    """ONNX with input ``pixels`` [N, 1, side, side] and output ``features`` [N, features]."""
    return bytes(export_onnx(encoder, (1, side, side), (_BETWEEN,)).SerializeToString())


def export_gate(encoder: GateEncoder, exported_encoder: bytes, heads: GateHeads, side: int) -> bytes:
    """ONNX with input ``pixels`` [N, 1, side, side] and outputs ``kinds``, ``turns``, ``signs`` and ``distance``.

    Large weights are stored as float16, to which those of ``heads`` are rounded.
    """
    round_to_half(heads)
    first = onnx.load_model_from_string(exported_encoder)
    second = export_onnx(heads, (heads.centre.numel(),), OUTPUTS, name=_BETWEEN)
    joined = compose.merge_models(
        compose.add_prefix(first, "encoder/", rename_inputs=False, rename_outputs=False),
        compose.add_prefix(second, "heads/", rename_inputs=False, rename_outputs=False),
        io_map=[(_BETWEEN, _BETWEEN)],
    )
    exported = bytes(store_as_half(joined).SerializeToString())
    _check(encoder, heads, exported, side)
    return exported


def with_view(exported_gate: bytes, head: ViewHead) -> bytes:
    """``exported_gate`` with the output ``view`` of ``head``, on the features that it computes anyway.

    Its other outputs stay what they are, to the bit.
    """
    first = onnx.load_model_from_string(exported_gate)
    count = head.centre.numel()
    first.graph.output.append(helper.make_tensor_value_info(_BETWEEN, TensorProto.FLOAT, ["N", count]))
    second = export_onnx(head, (count,), (VIEW_OUTPUT,), name=_BETWEEN)
    joined = compose.merge_models(
        first,
        compose.add_prefix(second, "view/", rename_inputs=False, rename_outputs=False),
        io_map=[(_BETWEEN, _BETWEEN)],
        outputs=[*OUTPUTS, VIEW_OUTPUT],
    )
    return bytes(joined.SerializeToString())


@torch.no_grad()
def _check(encoder: GateEncoder, heads: GateHeads, exported: bytes, side: int) -> None:
    """The file must predict what the network predicts."""
    probe = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))
    outputs = open_network(exported, OUTPUTS, 1, "onnxruntime").run(OUTPUTS, probe.numpy())
    for name, stored, expected in zip(OUTPUTS, outputs, heads(encoder(probe)), strict=True):
        if not np.allclose(stored, expected.numpy(), rtol=0, atol=_TOLERANCE):
            raise RuntimeError(f"{name} of the exported gate differ from those of the trained one")
