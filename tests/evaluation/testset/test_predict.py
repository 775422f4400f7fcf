"""Judging a manifest: the figures, the faults, and taking up again what was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.inference import Detector


def predict_manifest(detector: Detector, manifest: Manifest, **more: Any) -> pd.DataFrame:
    return predict_manifest_images(detector, manifest, **more).table


@pytest.fixture
def manifest(films: Callable[[Sequence[Any]], pd.DataFrame], film: type) -> Manifest:
    wanted = [film("covid19" if b > 0.5 else "no_pneumonia", b, f"p{b}") for b in (0.2, 0.45, 0.55, 0.8)]
    return Manifest.of(films(wanted), "north")


@pytest.fixture
def detector(make_package: Callable[[pd.DataFrame], Path], manifest: Manifest) -> Detector:
    return Detector.load(make_package(manifest.table.head(1).assign(split="train")), features=True)


def test_each_image_gets_the_probability_that_its_brightness_earns(detector: Detector, manifest: Manifest) -> None:
    table = predict_manifest(detector, manifest)
    for row in table.itertuples():
        brightness = np.asarray(Image.open(row.path)).mean() / 255
        margin = 16 * (brightness - 0.5)
        assert row.logit_covid19 - row.logit_other == pytest.approx(margin, abs=0.05)
        assert row.probability_covid19 == pytest.approx(1 / (1 + np.exp(-margin)), abs=0.01)
        assert row.probability_covid19 + row.probability_other == pytest.approx(1)
    assert table["prediction"].tolist() == ["other", "other", "covid19", "covid19"]
    assert table["path"].tolist() == manifest.table["path"].tolist()
    assert (table["sha256"].str.len() == 64).all()


def test_a_file_that_cannot_be_read_or_is_no_radiograph_says_why_and_the_others_are_judged(
    detector: Detector, manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("L", (80, 80), 128).save(tmp_path / "blank.png")
    names = ("broken.png", "absent.png", "blank.png")
    added = pd.DataFrame({"path": [str(tmp_path / name) for name in names], "label": "x"})
    table = predict_manifest(detector, Manifest.of(pd.concat([added, manifest.table]), "mixed"))
    assert table["fault"].str.contains("|".join(names)).tolist() == [True] * 3 + [False] * 4
    assert table["prediction"].tolist() == ["", "", "", "other", "other", "covid19", "covid19"]
    assert table["probability_covid19"].isna().tolist() == [True] * 3 + [False] * 4


class Counting(Detector):
    """Counts the images that reach the network, and may stop after some."""

    seen = 0
    stop_after: int | None = None

    def predict_with_features(self, pixels: Any) -> Any:
        if self.stop_after is not None and self.seen >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(pixels)
        return super().predict_with_features(pixels)


def test_an_interrupted_run_is_taken_up_where_it_stopped(
    films: Callable[[Sequence[Any]], pd.DataFrame], film: type, detector: Detector, tmp_path: Path
) -> None:
    many = Manifest.of(films([film("covid19", 0.3 + i / 50, f"p{i}") for i in range(20)]), "north")
    counting = Counting.load(detector.package, features=True)
    counting.stop_after = 8
    with pytest.raises(KeyboardInterrupt), AnswerStore.open(tmp_path / "kept.sqlite") as store:
        predict_manifest(counting, many, store=store)
    counting.seen, counting.stop_after = 0, None
    done: list[tuple[int, int]] = []
    with AnswerStore.open(tmp_path / "kept.sqlite") as store:
        taken_up = predict_manifest(counting, many, store=store, progress=lambda *of: done.append(of))
        assert counting.seen == 12
        assert done == [(8, 12), (12, 12)]
        pd.testing.assert_frame_equal(taken_up, predict_manifest(detector, many))
        counting.seen = 0
        predict_manifest(counting, many, store=store)
        assert counting.seen == 0


def test_a_changed_file_or_another_model_is_judged_again(detector: Detector, manifest: Manifest) -> None:
    store = AnswerStore.in_memory()
    predict_manifest(detector, manifest, store=store)
    ramp = np.linspace(200, 250, 96 * 80).reshape(80, 96).astype(np.uint8)
    Image.fromarray(ramp).save(manifest.table["path"][0])
    counting = Counting.load(detector.package, features=True)
    assert predict_manifest(counting, manifest, store=store)["prediction"][0] == "covid19"
    assert counting.seen == 1
    counting.seen, counting.model = 0, "another"
    predict_manifest(counting, manifest, store=store)
    assert counting.seen == 4
