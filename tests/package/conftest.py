"""Tiny packages, as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tiny_package import tiny_network, write_tiny


@pytest.fixture
def make_package(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny package; ``model`` and any field of its description can be given."""

    def make(name: str = "tiny", model: onnx.ModelProto | None = None, **changes: object) -> Path:
        return write_tiny(tmp_path / name, model, **changes)

    return make


@pytest.fixture
def package(make_package: Callable[..., Path]) -> Path:
    return make_package()


@pytest.fixture
def tiny_model() -> onnx.ModelProto:
    return tiny_network()
