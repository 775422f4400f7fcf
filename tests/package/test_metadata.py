"""``metadata.json`` against what MONAI's bundle schema of 2024-07-25 requires.

The models below say in pydantic what that schema's ``required`` keys and ``$defs`` say in JSON schema (Project MONAI,
Apache License 2.0; :data:`lungsight.package.metadata.SCHEMA`), so that no test needs the network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from lungsight.package import ModelPackage
from lungsight.package.metadata import SCHEMA, bundle_metadata
from tiny_package import CLASSES, SIDE, describe


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Tensor(_Open):
    type: StrictStr
    format: StrictStr
    num_channels: StrictInt
    spatial_shape: list[StrictStr | StrictInt]
    dtype: StrictStr
    value_range: list[StrictInt | StrictFloat]
    is_patch_data: StrictBool = False
    channel_def: dict[str, Any] = {}


class NetworkIO(_Open):
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    post_processed_outputs: dict[str, Tensor] = {}


class Bundle(_Open):
    schema_url: StrictStr
    version: StrictStr
    monai_version: StrictStr
    pytorch_version: StrictStr
    numpy_version: StrictStr
    required_packages_version: dict[str, Any]
    task: StrictStr
    description: StrictStr
    authors: StrictStr
    copyright: StrictStr
    network_data_format: NetworkIO
    changelog: dict[str, Any] = {}
    data_source: StrictStr = ""
    intended_use: StrictStr = ""
    pred_classes: StrictStr = ""
    eval_metrics: dict[str, Any] = {}


def read(text: str) -> Bundle:
    stated = json.loads(text)
    stated["schema_url"] = stated.pop("schema")  # pydantic keeps that name for itself
    return Bundle.model_validate(stated)


def test_every_package_has_metadata_that_keeps_the_schema(package: Path) -> None:
    bundle = read(ModelPackage.open(package).read("metadata.json").decode())
    assert bundle.schema_url == SCHEMA
    pixels = bundle.network_data_format.inputs["pixels"]
    assert (pixels.num_channels, pixels.spatial_shape, pixels.value_range) == (1, [SIDE, SIDE], [0, 1])
    for name in ("logits", "maps"):
        output = bundle.network_data_format.outputs[name]
        assert list(output.channel_def.values()) == list(CLASSES)
        assert output.num_channels == len(CLASSES)


def test_a_package_that_lacks_a_required_key_would_be_found_out(package: Path) -> None:
    stated = json.loads((package / "metadata.json").read_text())
    for key in ("version", "pytorch_version", "network_data_format", "copyright"):
        with pytest.raises(ValidationError, match=key):
            read(json.dumps({k: v for k, v in stated.items() if k != key}))


def test_what_nobody_told_is_left_to_the_authors() -> None:
    bundle = read(bundle_metadata(describe()))
    for text in (bundle.authors, bundle.copyright, bundle.pytorch_version, bundle.numpy_version):
        assert text == "not stated; for the authors"


def test_versions_are_those_of_the_training() -> None:
    bundle = read(bundle_metadata(describe(software={"torch": "2.14.1", "numpy": "2.3.0"})))
    assert (bundle.pytorch_version, bundle.numpy_version) == ("2.14.1", "2.3.0")


def test_a_test_adds_its_figures_and_a_line_to_the_changelog() -> None:
    metrics = {"external: east": {"auroc": {"value": 0.71, "low": 0.62, "high": 0.8, "n": 90}}}
    bundle = read(bundle_metadata(describe(), tested="tested 2026-11-23: internal only", metrics=metrics))
    assert bundle.eval_metrics == metrics
    assert bundle.changelog[bundle.version].endswith("; tested 2026-11-23: internal only")
