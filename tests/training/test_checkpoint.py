from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fastcore.foundation import L

from lungsight.errors import LungsightError
from lungsight.training.checkpoint import Checkpoint, Progress


def _checkpoint(epochs: int) -> Checkpoint:
    state = {"state": [{"step": np.float64(3), "avg": torch.ones(2)}], "hypers": L({"lr": np.float64(1e-3)})}
    return Checkpoint(
        Progress(1, 2, epochs, 0.5, 1), {"w": torch.full((2,), epochs * 1.0)}, {"w": torch.ones(2)}, state
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    assert Checkpoint.read(folder) is None
    _checkpoint(3).write(folder)
    _checkpoint(4).write(folder)
    found = Checkpoint.read(folder)
    assert found is not None
    assert found.progress == Progress(1, 2, 4, 0.5, 1)
    assert found.weights["w"].tolist() == [4, 4]
    assert found.best_weights["w"].tolist() == [1, 1]
    assert found.optimizer == {"state": found.optimizer["state"], "hypers": [{"lr": 1e-3}]}  # type: ignore[index]
    assert found.optimizer["state"][0]["avg"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_kill_while_writing_leaves_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    _checkpoint(3).write(folder)
    folder.rename(tmp_path / "checkpoint.old")  # killed between the two renames
    (tmp_path / "checkpoint.part").mkdir()
    found = Checkpoint.read(folder)
    assert found is not None
    assert found.progress.epochs == 3


@pytest.mark.parametrize("name", ["progress.json", "weights.safetensors", "best.safetensors", "optimizer.pt"])
@pytest.mark.parametrize("content", [b"", b"\x80garbage", b"[1]"])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    folder = tmp_path / "checkpoint"
    _checkpoint(3).write(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(LungsightError, match="holds a checkpoint that is damaged; remove that folder"):
        Checkpoint.read(folder)
