from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight import RESEARCH_ONLY
from lungsight.inference import Detector, Finding
from lungsight.radiograph import Radiograph
from lungsight.scanning.heatmap import HeatmapFolder, write_heatmap

Make = Callable[..., Radiograph]


@pytest.fixture
def finding(detector: Detector, make_radiograph: Make) -> Finding:
    return detector.analyse([make_radiograph()])[0]


def read(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    with Image.open(path) as image:
        image.load()
        return np.asarray(image), dict(image.text)  # type: ignore[attr-defined]


def test_a_heatmap_is_the_positive_evidence_on_the_images_own_grid(
    detector: Detector, finding: Finding, tmp_path: Path
) -> None:
    write_heatmap(tmp_path / "heat.png", finding, "covid19")
    grey, text = read(tmp_path / "heat.png")
    evidence = np.maximum(finding.heatmap(), 0)
    assert grey.dtype == np.uint16
    assert grey.max() == 65535
    assert grey * (float(text["Logits per 65535"]) / 65535) == pytest.approx(evidence, abs=1e-4)
    assert text["Class"] == "covid19"
    assert text["Model"] == detector.model
    assert text["Disclaimer"] == RESEARCH_ONLY


def test_a_heatmap_lies_on_the_image_as_it_was_judged_and_says_so(
    detector: Detector, make_radiograph: Make, tmp_path: Path
) -> None:
    (turned,) = detector.analyse([make_radiograph().placed(mirrored=True, turned=90)])
    write_heatmap(tmp_path / "heat.png", turned, "covid19")
    grey, text = read(tmp_path / "heat.png")
    assert grey.shape == (120, 90)
    assert text["Placement"] == "the image as it was analysed: mirrored, then turned clockwise by 90 degrees"


def test_what_speaks_against_the_target_leaves_the_heatmap_black(finding: Finding, tmp_path: Path) -> None:
    assert finding.map is not None
    against = replace(finding, map=replace(finding.map, values=-np.abs(finding.map.values)))
    write_heatmap(tmp_path / "heat.png", against, "covid19")
    grey, text = read(tmp_path / "heat.png")
    assert grey.shape == (90, 120)
    assert not grey.any()
    assert text["Logits per 65535"] == "0"


def test_names_are_unique_safe_and_the_same_next_time(finding: Finding, tmp_path: Path) -> None:
    files = [
        "a/film.png",
        "b/film.png",
        "study.zip!/../../film.png",
        "a/film.dcm",
        "\ufffd.png",
        "\ufffd.png",  # another file, whose name isn't UTF-8 either
        "wards/Ärztin ../x;rm -rf *.png",
        "CON.png",
        "x" * 400 + ".png",
    ]
    folders = [HeatmapFolder(tmp_path / name, "covid19") for name in ("one", "two")]
    assert finding.radiograph is not None
    films = [replace(finding.radiograph, sha256=f"{number:064}") for number in range(len(files))]
    findings = [replace(finding, file=file, radiograph=film) for file, film in zip(files, films, strict=True)]
    first, second = ([folder.add(one) for one in findings] for folder in folders)
    names = [path.name for path in first if path]
    assert len({name.lower() for name in names}) == len(files)
    assert names == [path.name for path in second if path]
    assert all(name.isascii() and len(name) < 80 and not set(name) & set(' /\\:;*"<>|') for name in names)
    assert {path.name for path in (tmp_path / "one").iterdir()} == set(names)


def test_what_was_not_judged_has_no_heatmap(finding: Finding, tmp_path: Path) -> None:
    assert HeatmapFolder(tmp_path, "covid19").add(replace(finding, map=None)) is None
    assert list(tmp_path.iterdir()) == []
