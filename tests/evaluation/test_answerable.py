"""Before any model: where a collection can answer the question, and what else tells the label there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation import answerable
from lungsight.evaluation.answerable import Answerable, what_can_be_answered
from lungsight.statistics.bootstrap import Resampling

Films = Callable[[Sequence[Any]], pd.DataFrame]
#: More would only take longer.
FEW = Resampling(replicates=100)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answerable, "package_with_view_classifier", lambda: None)


def asked(films: Films, wanted: Sequence[Any], folder: Path, **more: Any) -> Answerable:
    return what_can_be_answered(Manifest.of(films(wanted), "m"), cache=folder / "cache", resampling=FEW, **more)


def patients(film: type, source: str, positives: int, negatives: int, gap: float) -> list[Any]:
    """Films of a source; those with the disease are brighter by ``gap``."""
    wanted = [film("covid19", 0.45 + gap + i % 7 / 50, f"p{i}", source) for i in range(positives)]
    return wanted + [film("no_pneumonia", 0.45 + i % 7 / 50, f"n{i}", source) for i in range(negatives)]


def test_each_source_is_named_by_what_it_can_answer(films: Films, film: type, tmp_path: Path) -> None:
    wanted = (
        patients(film, "clear", 36, 36, 0) + patients(film, "bright", 32, 32, 0.2) + patients(film, "few", 5, 40, 0)
    )
    found = asked(films, wanted, tmp_path)
    by_source = {each.source: each for each in found.sources}
    assert [each.enough for each in (by_source["clear"], by_source["bright"], by_source["few"])] == [
        True,
        True,
        False,
    ]
    assert by_source["clear"].told_by == ()
    assert len(by_source["bright"].told_by) == 1
    assert by_source["bright"].statistics.value == pytest.approx(1, abs=0.02)
    assert (by_source["few"].with_target, by_source["few"].without_target) == (5, 40)
    assert found.together is not None
    assert found.together.images == len(wanted)
    first, second, third = found.sentence.split(". ")
    assert first.endswith("recognises COVID-19 at clear")
    assert "At bright" in second
    assert third.startswith("few: too few")
    assert found.to_json()["sources"][0]["statistics"]["n"] == by_source[found.sources[0].source].images


def test_a_collection_of_one_class_per_source_cant_answer(films: Films, film: type, tmp_path: Path) -> None:
    found = asked(films, patients(film, "ill", 40, 0, 0) + patients(film, "well", 0, 40, 0), tmp_path)
    assert found.sentence.startswith(
        "This collection can't answer whether a model recognises COVID-19: no source has"
    )
    assert "ill 40 and 0" in found.sentence


def test_what_only_a_biased_source_holds_is_said_of_it(films: Films, film: type, tmp_path: Path) -> None:
    found = asked(films, patients(film, "bright", 32, 32, 0.2), tmp_path)
    assert found.together is None
    assert found.sentence.startswith(
        "Of bright this collection can answer whether a model recognises COVID-19 only of"
    )


def test_labels_that_dont_say_and_files_that_cant_be_read_dont_count(
    films: Films, film: type, tmp_path: Path
) -> None:
    wanted = [
        film(label, 0.5, f"{label}{i}") for label in ("covid19", "not_covid19", "unlabelled", "tb") for i in (0, 1)
    ]
    rows = films(wanted)
    Path(rows["path"].iloc[0]).write_bytes(b"nothing")
    found = what_can_be_answered(Manifest.of(rows, "m"), cache=tmp_path / "cache", resampling=FEW)
    (only,) = found.sources
    assert (only.with_target, only.without_target, only.images) == (1, 4, 5)
    assert what_can_be_answered(Manifest.of(rows, "m"), "flu", cache=tmp_path / "cache").sources[0].with_target == 0


def test_images_are_read_once(films: Films, film: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest.of(films(patients(film, "north", 3, 3, 0)), "m")
    first = what_can_be_answered(manifest, cache=tmp_path / "cache", resampling=FEW)
    monkeypatch.setattr(answerable, "_look", lambda *_: pytest.fail("read again"))
    again = what_can_be_answered(manifest, cache=tmp_path / "cache", resampling=FEW)
    assert again.to_json() == first.to_json()


def test_a_stated_view_counts_without_a_classifier(films: Films, film: type, tmp_path: Path) -> None:
    wanted = [film("covid19", 0.45 + i % 7 / 50, f"p{i}", "ward", view="AP") for i in range(34)]
    wanted += [film("no_pneumonia", 0.45 + i % 7 / 50, f"n{i}", "ward", view="PA") for i in range(34)]
    (ward,) = asked(films, wanted, tmp_path).sources
    assert ward.view is not None
    assert ward.view.value == 1
    assert [told.startswith("the view") for told in ward.told_by] == [True]


def test_children_as_the_only_negatives_are_named(films: Films, film: type, tmp_path: Path) -> None:
    rows = films(patients(film, "north", 12, 12, 0))
    young = rows["label"].ne("covid19")
    for column, child, adult in (("age", 4, 50), ("paediatric", "yes", "")):
        manifest = Manifest.of(rows.assign(**{column: young.map({True: child, False: adult})}), "m")
        found = what_can_be_answered(manifest, cache=tmp_path / "cache", resampling=FEW)
        assert found.children[0].startswith(
            "12 of 12 images without COVID-19 are known to be of children, and 0 of 12"
        )
        assert found.sentence.endswith(found.children[0])
    some = Manifest.of(rows.assign(age=[4, 50] * 12), "m")
    assert what_can_be_answered(some, cache=tmp_path / "cache", resampling=FEW).children == ()
