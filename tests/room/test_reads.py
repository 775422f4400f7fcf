"""Reads in four words, and as a manifest that evaluation reads as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.datasets.manifest import Manifest
from room.conftest import Client, OpenRoom, png
from tiny_package import CLASSES, write_tiny

LABELS = {"typical": "covid19", "indeterminate": "indeterminate", "atypical": "atypical", "negative": "no_pneumonia"}


@pytest.mark.parametrize(
    ("word", "category"),
    [(word, word) for word in LABELS]
    + [("Classic", "typical"), ("classic/probable", "typical"), ("non-COVID", "atypical"), ("normal", "negative")],
)
def test_the_words_of_radiologists(room: Client, word: str, category: str) -> None:
    image = room.sent(png())
    told = room.put(f"/v1/images/{image}/read", json={"category": word}).json()
    assert told["read"]["category"] == category


@pytest.mark.parametrize(
    "body",
    [
        {"category": "covid"},
        {"category": "typical", "regions": [{"x": 0.9, "y": 0, "width": 0.2, "height": 0.1}]},
        {"category": "typical", "regions": [{"x": -0.1, "y": 0, "width": 0.2, "height": 0.1}]},
        {"category": "typical", "seconds": -1},
        {"category": "typical", "comment": "x" * 5000},
        {"category": "typical", "surprise": 1},
        {},
    ],
)
def test_anything_else_is_refused_in_a_sentence(room: Client, body: dict[str, object]) -> None:
    image = room.sent(png())
    answer = room.put(f"/v1/images/{image}/read", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"title", "detail", "status"}


def _read_all(room: Client, count: int = 4) -> list[str]:
    images = [room.sent(png(seed)) for seed in range(count)]
    for image, category in zip(images, [*LABELS] * count, strict=False):
        region = {"x": 0.1, "y": 0.2, "width": 0.25, "height": 0.5}
        regions = [region] if category == "typical" else []
        read = {"category": category, "regions": regions, "comment": '=HYPERLINK("x"),\nsecond line', "seconds": 3}
        assert room.put(f"/v1/images/{image}/read", json=read).status_code == 200
    return images


def test_the_manifest_needs_no_mapping(room: Client, tmp_path: Path) -> None:
    images = _read_all(room)
    written = tmp_path / "reads.csv"
    answer = room.get("/v1/reads", params={"format": "csv"})
    assert answer.headers["content-disposition"] == 'attachment; filename="reads.csv"'
    written.write_bytes(answer.content)
    manifest = Manifest.read(written)
    assert list(manifest.table["label"]) == list(LABELS.values())
    assert all(Path(path).is_file() for path in manifest.table["path"])
    assert [Path(path).name for path in manifest.table["path"]] == images
    assert manifest.table["boxes"][0] == "[[0.1, 0.2, 0.35, 0.7]]"
    assert set(manifest.table["source"]) == {"reading room"}
    assert "=HYPERLINK" not in answer.text.replace("'=HYPERLINK", "")
    assert len(answer.text.splitlines()) == 5


@pytest.mark.slow
def test_evaluate_reads_the_manifest(open_room: OpenRoom, tmp_path: Path) -> None:
    package = write_tiny(tmp_path / "tiny", recipe={"classes": {name: [name] for name in CLASSES}})
    room = open_room(package=package)
    _read_all(room, 8)
    written = tmp_path / "reads.csv"
    written.write_bytes(room.get("/v1/reads", params={"format": "csv"}).content)
    words = [
        "evaluate",
        str(package),
        "--data",
        str(written),
        "--out",
        str(tmp_path / "tested"),
        "--replicates",
        "100",
    ]
    ran = CliRunner().invoke(app, [*words, "--audit-images", "20"])
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "tested" / "evidence.json").is_file()


def test_agreement_is_of_blind_reads_with_intervals(open_room: OpenRoom) -> None:
    room = open_room(blind=True)
    images = [room.upload(png(seed))["images"][0]["id"] for seed in range(24)]
    room.finished()
    for number, image in enumerate(images):
        category = "typical" if number % 2 else "negative"
        room.put(f"/v1/images/{image}/read", json={"category": category})
        reference = {"label": "covid19" if number % 3 else "no_pneumonia", "standard": "RT-PCR"}
        assert room.put(f"/v1/images/{image}/reference", json=reference).status_code == 204
    told = room.get("/v1/agreement").json()
    assert (told["reads"], told["blind"]) == (24, 24)
    figures = {(figure["whose"], figure["name"]): figure for figure in told["figures"]}
    sensitivity = figures["reader", "sensitivity"]
    assert sensitivity["n"] == 16
    assert sensitivity["value"] == pytest.approx(0.5)
    assert sensitivity["low"] < 0.5 < sensitivity["high"]
    assert figures["reader", "specificity"]["n"] == 8
    assert sum(cell["n"] for cell in told["table"]) == len([1 for _ in images])
    assert "30" in told["lacking"]


def test_agreement_without_blind_reads_says_so(room: Client) -> None:
    image = room.sent(png())
    room.get(f"/v1/images/{image}")
    room.put(f"/v1/images/{image}/read", json={"category": "typical"})
    told = room.get("/v1/agreement").json()
    assert (told["reads"], told["blind"], told["figures"]) == (1, 0, [])
