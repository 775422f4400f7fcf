"""Anybody's predictions: what is read, what is refused, and what is left out with a notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lungsight.datasets.manifest import Manifest
from lungsight.errors import LungsightError, ManifestError
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.sections.calibration import calibration
from lungsight.evaluation.sections.decision import decision
from lungsight.evaluation.testset.data_warnings import data_warnings
from lungsight.evaluation.testset.external_predictions import match_predictions
from lungsight.evaluation.testset.image_statistics import FileStatistics
from lungsight.evaluation.testset.predictions_csv import PredictionsError
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, UNSTATED, TestSet
from lungsight.package.description import Decision
from lungsight.reporting.tables import section_tables
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.metrics import estimate_all

BINARY = {"covid19": ["covid19"], "other": ["*"]}


def read_predictions(path: Path, manifest: Manifest, **more: Any) -> tuple[TestSet, tuple[str, ...]]:
    matched = match_predictions(path, manifest, **more)
    return matched.testset, matched.notices


@pytest.fixture
def manifest(films: Callable[[Sequence[Any]], pd.DataFrame], film: type) -> Manifest:
    """Four films, two of each source; files film_000.png … film_003.png in ``images``."""
    wanted = [
        film("covid19", 0.8, "a"),
        film("no_pneumonia", 0.2, "b"),
        film("covid19", 0.7, "c", "east"),
        film("no_pneumonia", 0.3, "d", "east"),
    ]
    return Manifest.of(films(wanted), "north")


def table(folder: Path, text: str, name: str = "theirs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


ROWS = (("film_000.png", 0.9), ("film_001.png", 0.2), ("film_002.png", 0.6), ("film_003.png", 0.4))


def written(rows: Sequence[tuple[str, float]] = ROWS, header: str = "file,p_covid19,p_other") -> str:
    return "\n".join([header, *(f"{name},{p},{1 - p:.6g}" for name, p in rows)]) + "\n"


def test_probabilities_are_read_for_every_image_with_its_header_and_checksum(
    manifest: Manifest, tmp_path: Path
) -> None:
    testset, notices = read_predictions(table(tmp_path, written()), manifest, classes=BINARY)
    assert testset.classes == ("covid19", "other")
    assert testset.target == "covid19"
    assert testset.score.tolist() == [0.9, 0.2, 0.6, 0.4]
    assert testset.table["truth"].tolist() == ["covid19", "other", "covid19", "other"]
    assert testset.table["prediction"].tolist() == ["covid19", "other", "covid19", "other"]
    assert testset.headers["width"].tolist() == [96.0] * 4
    assert testset.table["sha256"].str.len().tolist() == [64] * 4
    assert testset.features is None
    assert testset.maps is None
    assert set(testset.table["kind"]) == {UNSTATED}
    assert notices == ()


def test_sources_said_to_be_trained_on_are_internal_and_a_misspelt_one_is_named(
    manifest: Manifest, tmp_path: Path
) -> None:
    testset, notices = read_predictions(
        table(tmp_path, written()), manifest, classes=BINARY, trained_sources=["north", "esat"]
    )
    assert testset.table["kind"].tolist() == [INTERNAL, INTERNAL, EXTERNAL, EXTERNAL]
    assert any("esat" in notice for notice in notices)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + written(),
        written().replace("\n", "\r\n"),
        written().replace(".png", "§").replace(",", ";").replace(".", ",").replace("§", ".png"),
        written().replace(",", "\t"),
        written(header="Image,probability_covid19,probability_other"),
        written(header="filename,covid19,other"),
        written(header="path,COVID19,Other"),
        "other;file;p_other;p_covid19\n" + "".join(f"x;{n};{100 - 100 * p:g} %;{100 * p:g}%\n" for n, p in ROWS),
        "file,p_covid19,p_other\n" + "".join(f"{n},{100 * p:g},{100 - 100 * p:g}\n" for n, p in ROWS),
        "file,p_covid19\n" + "".join(f"{n},{p}\n" for n, p in ROWS),
        "file,covid19,comment\n" + "".join(f'{n},"{p}","a, b"\n' for n, p in ROWS),
        "file,probability\n" + "".join(f"images/{n},{p}\n" for n, p in ROWS),
        "file,score\n" + "".join(f"./images/{n},{p}\n" for n, p in ROWS),
        "file,score\n" + "".join(f"..\\images\\{n},{p}\n" for n, p in ROWS),
    ],
    ids=lambda text: text.splitlines()[0],
)
def test_every_dialect_says_the_same(manifest: Manifest, tmp_path: Path, text: str) -> None:
    testset, _ = read_predictions(table(tmp_path, text), manifest, classes=BINARY, target="covid19")
    assert testset.score == pytest.approx([0.9, 0.2, 0.6, 0.4])
    assert testset.table[["probability_covid19", "probability_other"]].sum(axis=1).tolist() == pytest.approx([1] * 4)


def test_parquet_and_full_paths(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    values = np.array([p for _, p in ROWS], dtype=np.float32)
    pd.DataFrame({"path": manifest.table["path"], "p_covid19": values, "p_other": 1 - values}).to_parquet(path)
    assert read_predictions(path, manifest, classes=BINARY)[0].score == pytest.approx(values)


def scanned(rows: Sequence[tuple[str, float]] = ROWS) -> str:
    def line(name: str, status: str, probabilities: Mapping[str, float], reasons: Sequence[str]) -> str:
        stated = {"file": name, "status": status, "verdict": "x", "probabilities": probabilities}
        return json.dumps({**stated, "heatmap": None, "reasons": reasons, "warnings": [], "model": "m", "seconds": 1})

    read = [line(f"images/{n}", "read", {"covid19": p, "other": 1 - p}, []) for n, p in rows[:-1]]
    return "\n".join([*read, line(f"images/{rows[-1][0]}", "refused", {}, ["It is a lateral view."])]) + "\n"


def test_what_a_scan_wrote_is_read_with_its_refusals(manifest: Manifest, tmp_path: Path) -> None:
    testset, notices = read_predictions(table(tmp_path, scanned(), "findings.jsonl"), manifest, classes=BINARY)
    assert testset.score[:3].tolist() == [0.9, 0.2, 0.6]
    assert testset.table["fault"].tolist()[:3] == [""] * 3
    assert "It is a lateral view." in testset.table["fault"].iloc[3]
    assert testset.table["prediction"].iloc[3] == ""
    assert len(testset.scored) == 3
    assert any("1 of 4 images have no usable prediction" in notice for notice in notices)


def test_labels_of_the_same_names_are_the_default_and_others_are_counted(manifest: Manifest, tmp_path: Path) -> None:
    labelled = manifest.with_columns(label=["covid19", "no_pneumonia", "covid19", "tuberculosis"])
    text = written(header="file,p_covid19,p_no_pneumonia")
    testset, notices = read_predictions(table(tmp_path, text), labelled)
    assert testset.table["truth"].tolist() == ["covid19", "no_pneumonia", "covid19"]
    assert any("labels of no class are left out: 'tuberculosis' (1)" in notice for notice in notices)


def test_one_score_sets_its_class_against_every_other_diagnosis(manifest: Manifest, tmp_path: Path) -> None:
    testset, notices = read_predictions(
        table(tmp_path, "file,probability\n" + "".join(f"{n},{p}\n" for n, p in ROWS)),
        manifest,
        target="no_pneumonia",
    )
    assert testset.classes == ("no_pneumonia", "other")
    assert testset.table["truth"].tolist() == ["other", "no_pneumonia", "other", "no_pneumonia"]
    assert any("probability of no_pneumonia alone" in notice for notice in notices)


def test_rounding_is_scaled_away_and_a_wrong_sum_leaves_the_row_out(manifest: Manifest, tmp_path: Path) -> None:
    text = "file,p_covid19,p_other\nfilm_000.png,0.9,0.11\nfilm_001.png,0.2,0.2\nfilm_002.png,0.5,0.5\n"
    testset, notices = read_predictions(table(tmp_path, text), manifest, classes=BINARY)
    assert testset.score[0] == pytest.approx(0.9 / 1.01)
    assert "sum to 0.400" in testset.table["fault"].iloc[1]
    assert np.isnan(testset.score[1])
    assert any("off by 0.010 at most" in notice for notice in notices)
    assert any("1 row of probabilities that don't sum to one (first: row 3)" in notice for notice in notices)
    assert any("1 of the manifest's 4 images have no prediction" in notice for notice in notices)


def test_a_stray_value_out_of_range_leaves_its_row_out(
    films: Callable[[Sequence[Any]], pd.DataFrame], film: type, tmp_path: Path
) -> None:
    many = Manifest.of(
        films([film(("covid19", "other_pneumonia")[i % 2], 0.3 + i / 50, f"p{i}") for i in range(20)]), "north"
    )
    rows = [(f"film_{i:03}.png", 0.5) for i in range(20)]
    rows[3] = ("film_003.png", -3.0)
    testset, notices = read_predictions(table(tmp_path, written(rows)), many, classes=BINARY)
    assert len(testset.scored) == 19
    assert any("1 row of probabilities outside 0…1 (first: row 5)" in notice for notice in notices)


def test_an_image_named_twice_counts_once_or_not_at_all(manifest: Manifest, tmp_path: Path) -> None:
    rows = [*ROWS, ("images/film_000.png", 0.9), ("film_001.png", 0.8)]
    matched = match_predictions(table(tmp_path, written(rows)), manifest, classes=BINARY)
    assert matched.testset.table["path"].map(lambda p: Path(p).name).tolist() == [
        "film_000.png",
        "film_002.png",
        "film_003.png",
    ]
    assert any("1 image named twice with different values" in notice for notice in matched.notices)
    assert any("1 image named again with the same values" in notice for notice in matched.notices)
    assert matched.eligible.came_in == 4
    assert {step.reason: step.left_out for step in matched.eligible.flow}[
        "named twice by the table, with different values"
    ] == 1


def test_a_name_that_several_images_have_is_nobodys(manifest: Manifest, tmp_path: Path) -> None:
    rows = manifest.table.copy()
    rows.loc[3, "path"] = str(tmp_path / "elsewhere" / "film_000.png")
    two = Manifest.of(rows, "north")
    testset, notices = read_predictions(table(tmp_path, written(ROWS[:3])), two, classes=BINARY)
    assert len(testset) == 2
    assert any("1 image by a name that several of the manifest's have" in notice for notice in notices)
    told_apart = written([("images/film_000.png", 0.9), ("elsewhere/film_000.png", 0.1)])
    testset, _ = read_predictions(table(tmp_path, told_apart), two, classes=BINARY)
    assert testset.score.tolist() == [0.9, 0.1]


def test_images_that_are_not_there_keep_their_predictions(manifest: Manifest, tmp_path: Path) -> None:
    Path(manifest.table["path"].iloc[0]).unlink()
    testset, notices = read_predictions(table(tmp_path, written()), manifest, classes=BINARY)
    assert len(testset.scored) == 4
    assert testset.headers["width"].isna().tolist() == [True, False, False, False]
    assert any("1 of 4 images couldn't be read" in notice for notice in notices)


def test_the_same_file_under_two_names_counts_once(manifest: Manifest, tmp_path: Path) -> None:
    first, _, third, _ = (Path(path) for path in manifest.table["path"])
    third.write_bytes(first.read_bytes())
    testset, notices = read_predictions(table(tmp_path, written()), manifest, classes=BINARY)
    assert len(testset) == 3
    assert "1 image left out: the same file again." in notices


def test_the_same_file_with_two_labels_is_refused_by_both_names(manifest: Manifest, tmp_path: Path) -> None:
    first, second, *_ = (Path(path) for path in manifest.table["path"])
    second.write_bytes(first.read_bytes())
    with pytest.raises(ManifestError, match=r"film_000\.png is labelled covid19 and .*film_001\.png .* no_pneumonia"):
        read_predictions(table(tmp_path, written()), manifest, classes=BINARY)


@pytest.mark.parametrize("label", ["COVID", "SARS-CoV-2", "covid pneumonia", "CovidI9", "positive", "PCR +", "1"])
@pytest.mark.parametrize("classes", [BINARY, None])
def test_a_label_that_may_mean_the_target_is_never_its_opposite(
    manifest: Manifest, tmp_path: Path, label: str, classes: Mapping[str, Sequence[str]] | None
) -> None:
    labelled = manifest.with_columns(label=["covid19", "no_pneumonia", label, "no_pneumonia"])
    text = "file,probability\n" + "".join(f"{n},{p}\n" for n, p in ROWS)
    with pytest.raises(ManifestError) as problem:
        read_predictions(table(tmp_path, text), labelled, classes=classes, target="covid19")
    assert f"it isn't clear whether these labels mean covid19: '{label}' (1)" in str(problem.value)
    assert f"{label}=covid19" in str(problem.value)


@pytest.mark.parametrize("label", ["nan", "?", "None", "", "unknown"])
def test_a_missing_label_is_no_negative(manifest: Manifest, tmp_path: Path, label: str) -> None:
    rows = manifest.table.assign(label=["covid19", "no_pneumonia", "covid19", label])
    testset, _ = read_predictions(table(tmp_path, written()), Manifest.of(rows, "north"), classes=BINARY)
    assert testset.table["label"].tolist() == ["covid19", "no_pneumonia", "covid19"]


@pytest.mark.parametrize("kept", ["covid19", "no_pneumonia"])
def test_one_side_alone_is_refused_before_any_image_is_read(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setattr(FileStatistics, "of", lambda path: pytest.fail("read an image"))
    side = "without" if kept == "covid19" else "with"
    with pytest.raises(ManifestError, match=f"no image {side} COVID-19 among the 2"):
        read_predictions(table(tmp_path, written()), manifest.where(manifest.table["label"] == kept), classes=BINARY)


@pytest.mark.parametrize("prefix", ["C:\\films\\", "\\\\server\\share\\x-rays\\"])
def test_paths_of_windows_name_images_by_their_end(manifest: Manifest, tmp_path: Path, prefix: str) -> None:
    rows = [(prefix + f"images\\{name}", p) for name, p in ROWS]
    testset, _ = read_predictions(table(tmp_path, written(rows)), manifest, classes=BINARY)
    assert testset.score.tolist() == [0.9, 0.2, 0.6, 0.4]


def test_images_read_once_are_not_read_again(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = AnswerStore.in_memory()
    once, _ = read_predictions(table(tmp_path, written(ROWS[:2])), manifest, classes=BINARY, store=store)
    read: list[str] = []
    of = FileStatistics.of
    monkeypatch.setattr(FileStatistics, "of", lambda path: read.append(Path(path).name) or of(path))
    both, _ = read_predictions(table(tmp_path, written()), manifest, classes=BINARY, store=store)
    assert sorted(read) == ["film_002.png", "film_003.png"]
    pd.testing.assert_frame_equal(both.headers.head(2), once.headers)
    read.clear()
    read_predictions(table(tmp_path, written()), manifest, classes=BINARY, store=store)
    assert read == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty"),
        ("\ufeff\n\n", "the file is empty"),
        ("file,p_covid19,p_other\n", "holds no predictions"),
        ("name,p_covid19,p_other\na.png,1,0\n", "has no column that names the image"),
        ("file,verdict\nfilm_000.png,covid19\n", "has no column of probabilities (it has file, verdict)"),
        ("file,p_covid19,p_other\nelse.png,1,0\n", "of its 1 images none is in the manifest (the first is else.png)"),
        ("file,p_covid19,p_other\n,1,0\n", "row 2: file is empty"),
        ("file,p_covid19,p_other\nfilm_000.png,high,0\n", "row 2: p_covid19 is not a number (found 'high')"),
        (
            "file,p_covid19,p_other\nfilm_000.png,2.5,-1.5\n",
            "1 of 1 rows are outside 0…1 (row 2: 2.5, -1.5); give probabilities: pass logits through a softmax",
        ),
        ("file,p_covid19,p_other\nfilm_000.png,inf,0\n", "are outside 0…1"),
        ("file,p_covid19,p_other\nfilm_000.png,0.9,0.9\n", "no row's probabilities sum to one (row 2: 1.800)"),
        ("file,p_covid19,p_other\nfilm_000.png,nan,\nfilm_001.png,,\n", "no image has a usable probability"),
        ("file,p_covid19,p_other\nfilm_000.png,0,9,0,1\n", "row 2 has 5 cells where the header has 3"),
        ("file,p_covid19,p_covid19\nfilm_000.png,1,0\n", "has the column p_covid19 twice"),
        ("file,p_covid19,p_flu\nfilm_000.png,1,0\n", "has a column for flu, which is none of the classes"),
        ('file,p_covid19,p_other\n"film_000.png,1,0\n', "not a readable table"),
        ('{"file": "film_000.png"\n', "line 1 isn't JSON"),
        ("[1]\n", "holds no predictions"),
    ],
)
def test_bad_tables_get_one_sentence(manifest: Manifest, tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(PredictionsError) as problem:
        read_predictions(table(tmp_path, text), manifest, classes=BINARY)
    assert "theirs.csv: " in str(problem.value)
    assert sentence in str(problem.value)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("file,probability\nfilm_000.png,1\n", {}, "name the class with --target"),
        (written(), {"target": "flu"}, "flu is none of its classes; give one of covid19, other"),
        (written(header="file,p_a,p_b"), {}, "choose one with --target: a, b"),
        (written(), {"classes": {**BINARY, "flu": ["flu"]}}, "has no column for the class flu"),
        (written(), {"classes": {"covid19": ["covid19"]}}, "has a column for other, which is none of the classes"),
        ("file,p_covid19\nfilm_000.png,1\n", {"classes": {"covid19": ["covid19"]}}, "one class alone"),
        ("file,p_covid19\nfilm_000.png,1\n", {"target": "flu"}, "has no column for the class flu"),
        (
            written(),
            {"classes": {"covid19": ["a"], "other": ["b"]}},
            "no image without COVID-19",
        ),
    ],
)
def test_what_the_user_names_must_fit(
    manifest: Manifest, tmp_path: Path, text: str, options: Mapping[str, Any], sentence: str
) -> None:
    with pytest.raises(LungsightError) as problem:
        read_predictions(table(tmp_path, text), manifest, **options)
    assert sentence in str(problem.value)


def test_a_file_that_is_not_there_and_text_that_is_not_utf8(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="there is no such file"):
        read_predictions(tmp_path / "none.csv", manifest)
    (tmp_path / "latin.csv").write_bytes("file,p_grün\n".encode("latin-1"))
    with pytest.raises(PredictionsError, match="holds no predictions"):  # it is read as Windows-1252
        read_predictions(tmp_path / "latin.csv", manifest)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(PredictionsError, match="not a readable table"):
        read_predictions(tmp_path / "broken.parquet", manifest)


CELLS = st.one_of(
    st.sampled_from(["", "nan", "0.5", "0,5", "50%", "1e400", "-inf", "1", "0", "film_000.png", '"', "\0", "{", "٣"]),
    st.floats(0, 1).map(str),
    st.text(max_size=6),
)


def read_or_refused(path: Path, manifest: Manifest, **options: Any) -> TestSet | None:
    """What was read; None where the table is refused, in one sentence."""
    refusal: LungsightError | None = None
    try:
        return read_predictions(path, manifest, **options)[0]
    except LungsightError as problem:
        refusal = problem
    assert str(refusal).endswith(".")
    assert "\n" not in str(refusal)
    return None


@given(
    header=st.lists(
        st.sampled_from(["file", "path", "p_covid19", "p_other", "score", "covid19", "", "x"]), max_size=5
    ),
    rows=st.lists(st.lists(CELLS, max_size=5), max_size=5),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    target=st.sampled_from([None, "covid19", "other"]),
    stated=st.booleans(),
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_table_whatever_ends_in_a_traceback(
    manifest: Manifest,
    tmp_path: Path,
    header: list[str],
    rows: list[list[str]],
    separator: str,
    target: str | None,
    stated: bool,
) -> None:
    text = "\n".join(separator.join(cells) for cells in (header, *rows))
    path = tmp_path / "fuzzed.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    testset = read_or_refused(path, manifest, classes=BINARY if stated else None, target=target)
    if testset is None:
        return
    sums = testset.scored.table[[f"probability_{name}" for name in testset.classes]].sum(axis=1)
    assert np.allclose(sums, 1)
    assert testset.score[testset.table["fault"] == ""].min() >= 0


@given(content=st.binary(max_size=80), suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_whatever_end_in_a_traceback(
    manifest: Manifest, tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"fuzzed{suffix}"
    path.write_bytes(content)
    with pytest.raises(LungsightError):
        read_predictions(path, manifest)


@given(
    lines=st.lists(
        st.dictionaries(
            st.sampled_from(["file", "probabilities", "reasons", "status"]),
            st.one_of(
                st.just("film_000.png"),
                st.none(),
                st.floats(),
                st.dictionaries(st.sampled_from(["covid19", "other"]), st.floats(0, 1) | st.text(max_size=3)),
                st.lists(st.text(max_size=3), max_size=2),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_whatever_ends_in_a_traceback(
    manifest: Manifest, tmp_path: Path, lines: list[dict[str, Any]]
) -> None:
    path = tmp_path / "fuzzed.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    testset = read_or_refused(path, manifest, classes=BINARY)
    assert testset is None or np.isfinite(testset.scored.score).all()


def test_a_name_full_of_signs_is_only_a_name(manifest: Manifest, tmp_path: Path) -> None:
    path = table(tmp_path, written([*ROWS, ("else.png", 0.5)]), "a{b}%s§.csv")
    assert any("a{b}%s§.csv: 1 image not in" in n for n in read_predictions(path, manifest, classes=BINARY)[1])


def test_a_denial_counts_against_the_target_and_for_no_class(manifest: Manifest, tmp_path: Path) -> None:
    denied = manifest.with_columns(label=["covid19", "no_pneumonia", "covid19", "Not COVID-19"])
    rows = "".join(f"{name},{p},{(1 - p) / 2},{(1 - p) / 2}\n" for name, p in ROWS)
    text = "file,p_covid19,p_other_pneumonia,p_no_pneumonia\n" + rows
    testset, _ = read_predictions(table(tmp_path, text), denied)
    assert testset.table["truth"].tolist() == ["covid19", "no_pneumonia", "covid19", "not_covid19"]
    assert len(testset.scored) == 4
    found = {(e.scope, e.name): e for e in estimate_all(testset.outcomes, Resampling(replicates=20))}
    assert found["covid19", "auroc"].value == 1.0
    assert found["covid19", "auroc"].negatives == 2
    assert found["covid19", "specificity"].n == 2
    for withheld in (("all classes", "accuracy"), ("no_pneumonia", "auroc"), ("other_pneumonia", "specificity")):
        assert found[withheld].value is None
        assert "of 1 image no more is known than that they aren't of covid19" in str(found[withheld].withheld)
    assert testset.outcomes.confusion.sum() == 3
    assert any("Labels of 1 image say only that COVID-19 isn't there" in one for one in data_warnings(testset))


def test_a_test_of_denials_alone_is_a_test_of_the_target(manifest: Manifest, tmp_path: Path) -> None:
    denied = manifest.with_columns(label=["covid19", "not_covid19"] * 2)
    text = written(header="file,p_covid19,p_no_pneumonia")
    testset, _ = read_predictions(table(tmp_path, text), denied)
    assert testset.positive.tolist() == [True, False, True, False]
    assert len(section_tables(calibration(testset, resampling=Resampling(replicates=20)))["calibration"])
    section = decision(testset, Decision(), resampling=Resampling(replicates=20))
    assert set(section_tables(section)["verdicts"]["truth"]) == {"covid19", "not_covid19"}
