"""What a run leaves in its folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from syrupy.assertion import SnapshotAssertion

import prose
from browser import scroll_width
from lungsight import RESEARCH_ONLY
from lungsight.components.calibration import LargestClasses
from lungsight.components.decision import AnswersAtSource, CostOfAnswers, Decision, MeasuredShare
from lungsight.package import ModelPackage
from lungsight.package.write import sign
from lungsight.reporting.training_report import doubts, write_run_results

_LEAVES = (
    "predictions.csv",
    "metrics.csv",
    "confusion_validation.png",
    "confusion_validation.csv",
    "confusion_test.png",
    "confusion_test.csv",
    "losses.png",
    "learning_rates.png",
    "mistakes.html",
    "index.html",
)


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Path], film: type) -> Path:
    """Split by image. Validation: of patients also trained on, all four right; of the four others, two wrong."""
    trained = [film("covid19", 0.8, f"p{i}", split="train") for i in range(4)]
    known = [film("covid19", 0.8, f"p{i}", split="validation") for i in range(2)]
    known += [film("no_pneumonia", 0.2, f"p{i}", split="validation") for i in range(2, 4)]
    new = [film("covid19", b, f"q{b}", split="validation") for b in (0.7, 0.4)]
    new += [film("no_pneumonia", b, f"r{b}", split="validation") for b in (0.3, 0.9)]
    test = [film("covid19", 0.8, "s1", split="test"), film("tuberculosis", 0.2, "s2", "south", split="test")]
    run = make_run(trained + known + new + test, "image")
    write_run_results(run)
    return run


def test_the_folder_holds_everything_and_nothing_half_written(run: Path) -> None:
    assert {name for name in _LEAVES if not (run / name).is_file()} == set()
    assert not list(run.glob("*.part"))
    for picture in run.glob("*.png"):
        assert np.asarray(Image.open(picture).convert("L")).std() > 5
    confusion = pd.read_csv(run / "confusion_validation.csv", index_col="truth")
    assert confusion.to_numpy().tolist() == [[3, 1], [1, 3]]


def test_the_figures_are_those_of_the_images(run: Path) -> None:
    metrics = pd.read_csv(run / "metrics.csv", keep_default_na=False)
    assert set(metrics["split"]) == {"validation", "test"}
    assert set(metrics[metrics["split"] == "test"]["source"]) == {"all", "north", "south"}

    def row(split: str, source: str, scope: str, metric: str) -> pd.Series:
        wanted = metrics.set_index(["split", "source", "scope", "metric"])
        return wanted.loc[(split, source, scope, metric)]

    sensitivity = row("validation", "north", "covid19", "sensitivity")
    assert (float(sensitivity["value"]), sensitivity["n"], sensitivity["patients"]) == (0.75, 4, 4)
    assert 0 <= float(sensitivity["low"]) < 0.75 < float(sensitivity["high"]) <= 1
    auroc = row("test", "all", "covid19", "auroc")
    assert (auroc["value"], auroc["withheld"]) == ("", "only one image of COVID-19 here")
    south = row("test", "south", "covid19", "auroc")
    assert south["value"] == ""
    assert south["withheld"] == "no image of COVID-19 here"


def test_a_split_by_image_is_shown_for_what_it_costs(run: Path) -> None:
    leak = pd.read_csv(run / "metrics_leak.csv")
    sensitivity = leak[(leak["metric"] == "sensitivity") & (leak["scope"] == "covid19")]
    assert sensitivity.set_index("validation_images")["value"].to_dict() == {
        "patient or file also in training": 1.0,
        "patient not in training": 0.5,
    }
    assert "This split leaks" in (run / "index.html").read_text()


def test_a_split_by_patient_says_that_it_does_not_leak(make_run: Callable[..., Path], film: type) -> None:
    splits = ("train", "validation", "test")
    run = make_run([film(lab, b, f"{s}{lab}", split=s) for s in splits for lab, b in (("covid19", 0.8), ("x", 0.2))])
    write_run_results(run)
    page = (run / "index.html").read_text()
    assert "This split leaks" not in page
    assert "no patient of a validation image was trained on" in page
    assert not (run / "metrics_leak.csv").exists()
    assert "No validation or test image was predicted a wrong class" in page


def test_pages_are_whole_in_themselves_and_say_what_they_are_not(run: Path) -> None:
    for name in ("index.html", "mistakes.html"):
        page = (run / name).read_text()
        assert RESEARCH_ONLY in page
        loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert not [address for address in loaded if "://" in address]
        assert all(alt for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page))
        assert page.count("<img") == len(re.findall(r"<img [^>]*alt=", page))


@pytest.mark.parametrize("name", ["index.html", "mistakes.html"])
def test_the_sentences_of_the_pages(run: Path, name: str, snapshot: SnapshotAssertion) -> None:
    masks = {str(run): "<run>", str(run.parent): "<folder>"}
    assert prose.of_page((run / name).read_text("utf-8"), masks) == snapshot


@pytest.mark.parametrize("name", ["index.html", "mistakes.html"])
def test_no_page_is_wider_than_a_phone(run: Path, name: str) -> None:
    assert scroll_width(run / name, 390) <= 390


def test_top_losses_are_sorted_by_loss_and_say_why_the_wrong_class_was_called(run: Path) -> None:
    page = (run / "mistakes.html").read_text()
    assert "<h1>Top losses</h1>" in page
    losses = [float(loss) for loss in re.findall(r"loss ([0-9.]+), probability of", page)]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == page.count('class="case"') == 10  # all the images, for they are few
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == len(set(pictures)) == 20  # each image, and it again under its map
    first, second = page.index("r0.9"), page.index("q0.4")
    assert first < second
    assert re.search(r"other, predicted COVID-19</strong>: loss [56]\.\d+, probability of other 0\.00", page)


def test_the_map_of_a_wrong_call_is_the_called_class_less_the_true_one(run: Path) -> None:
    """Its margin is the difference of the two logits, and so positive: COVID-19 for other, and the reverse."""
    page = (run / "mistakes.html").read_text()
    logits = pd.read_csv(run / "predictions.csv").set_index("patient")
    for patient, called, true in (("r0.9", "covid19", "other"), ("q0.4", "other", "covid19")):
        case = page[: page.index(patient)].rpartition("<article")[2]
        stated = re.search(r"for (.+) less that for (.+): difference of the logits ([+-][0-9.]+)", case)
        assert stated is not None
        expected = logits.loc[patient, f"logit_{called}"] - logits.loc[patient, f"logit_{true}"]
        assert float(stated[3]) == pytest.approx(expected, abs=0.006)
        assert float(stated[3]) > 0


def test_the_page_is_called_after_the_run_and_says_what_to_do_next(run: Path) -> None:
    page = (run / "index.html").read_text()
    assert f"<h1>Training run: {run.name}</h1>" in page
    assert f"lungsight evaluate {run}/package --data {run}/manifest.csv --out {run}/tested<" in page
    assert f"lungsight evaluate {run}/package --data other-hospital.csv" in page


def test_validation_figures_say_what_they_were_used_for(run: Path) -> None:
    page = (run / "index.html").read_text()
    for column in re.findall(r"<th>(Validation.*?)</th>", page, re.DOTALL):
        assert "used to choose calibration and thresholds" in column
    assert "used to choose" not in "".join(re.findall(r"<th>(Test.*?)</th>", page, re.DOTALL))


def make_testset(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["source", "truth"])


MIXED = make_testset(("a", "covid19"), ("a", "other"), ("b", "other"))


@pytest.mark.parametrize(
    ("sources", "splits", "expected"),
    [
        (["a", "b"], {"validation": MIXED, "test": MIXED}, []),
        (["a"], {"validation": MIXED[:2], "test": MIXED[:2]}, ["All images come from one source, a"]),
        (
            ["a", "b"],
            {"test": make_testset(("a", "covid19"), ("b", "other"))},
            ["No source holds images with and without"],
        ),
        (["a", "b"], {"validation": MIXED}, ["No test image was predicted"]),
        (["a"], {}, ["All images come from one source, a", "No test image was predicted"]),
    ],
)
def test_a_run_that_shows_nothing_of_the_disease_says_why(
    sources: list[str], splits: dict[str, pd.DataFrame], expected: list[str]
) -> None:
    found = doubts(pd.DataFrame({"source": sources}), splits, "covid19")
    assert len(found) == len(expected)
    assert all(said.startswith(start) for said, start in zip(found, expected, strict=True))


def test_the_box_at_the_top_names_what_is_missing(make_run: Callable[..., Path], film: type) -> None:
    run = make_run(
        [film(lab, b, f"{s}{lab}", split=s) for s in ("train", "test") for lab, b in (("covid19", 0.8), ("x", 0.2))]
    )
    write_run_results(run)
    page = (run / "index.html").read_text()
    box = page[page.index('class="callout alarm"') :]
    assert box.index("Nothing here shows that the model learned COVID-19") < box.index(
        "All images come from one source"
    )


def test_done_again_it_gives_the_same(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in _LEAVES}
    write_run_results(run)
    assert {name for name in _LEAVES if (run / name).read_bytes() != before[name]} == set()


def test_thresholds_and_calibration_are_shown_within_each_source(make_run: Callable[..., Path], film: type) -> None:
    rows = [film("covid19", 0.8, f"p{i}", split="train") for i in range(2)]
    run = make_run([*rows, film("no_pneumonia", 0.2, "q", split="validation")])
    described = ModelPackage.open(run / "package").description
    share = MeasuredShare(value=0.125, low=0.05, high=0.25, n=80)
    north = AnswersAtSource(source="north", inconclusive=share, sensitivity=MeasuredShare(n=0), specificity=share)
    costs = [
        CostOfAnswers(most_inconclusive=m, low=0.4 - m, high=0.4 + m, inconclusive=m, specificity=0.7 + m / 2)
        for m in (0, 0.1, 0.3)
    ]
    decision = Decision(low=0.3, high=0.5, by_source=(north,), costs=tuple(costs))
    shares = dict.fromkeys(described.classes, 0.25)
    largest = LargestClasses(source="north", images=80, truth=shares, before=shares, after=shares)
    calibration = described.calibration.model_copy(update={"largest": (largest,)})
    sign(run / "package", described.model_copy(update={"decision": decision, "calibration": calibration}))
    write_run_results(run)
    page = (run / "index.html").read_text("utf-8")
    assert "<td>0.12 (0.05–0.25, n = 80)</td><td>–</td><td>0.12 (0.05–0.25, n = 80)</td>" in page
    assert "0.25 → 0.25 (0.25)" in page
    assert (run / "costs.png").is_file()
    assert scroll_width(run / "index.html", 390) <= 390
