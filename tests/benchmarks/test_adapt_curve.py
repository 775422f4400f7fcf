"""The learning curve of adaptation, on a small package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from adaptation_fixtures import write_halves, write_hospital
from lungsight.adaptation import prepare
from lungsight.errors import ManifestError


def _script() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "quality" / "adapt_curve.py"
    spec = importlib.util.spec_from_file_location("adapt_curve", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_it_adapts_to_some_patients_and_tests_on_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "package_with_view_classifier", lambda: None)
    package = write_halves(tmp_path / "halves")
    table = write_hospital(tmp_path / "hospital", {"covid19": 130, "no_pneumonia": 110}, patients=80)
    out, cache = tmp_path / "curve.csv", tmp_path / "cache"
    curve = _script()
    curve.main(str(package), table, out, draws=1, sizes=[20], cache=cache, any_package=False)
    curve.main(  # in place of the rows of before
        str(package), table, out, draws=2, sizes=[20, 110, 400], cache=cache, any_package=False
    )
    rows = pd.read_csv(out)
    assert set(rows["images"]) == {20, 110}  # 400 are more than there are
    assert len(rows) == 2 * 2 * rows["figure"].nunique()
    assert (rows["adapted_to"] + rows["tested"] == 240).all()
    assert (rows["adapted_to"] >= rows["images"]).all()
    ranked = rows[rows["figure"] == "auroc"].groupby("images")["after"].mean()
    assert ranked[110] > rows.loc[rows["figure"] == "auroc", "before"].max()
    other = table.with_name("elsewhere.csv")
    pd.read_csv(table).assign(source="elsewhere").to_csv(other, index=False)
    with pytest.raises(ManifestError, match="was trained on elsewhere"):
        curve.main(str(package), other, out, draws=1, sizes=None, cache=cache, any_package=False)


def test_patients_are_drawn_whole() -> None:
    curve = _script()

    class Images:
        patients = np.repeat(np.arange(50), 3)
        positive = np.repeat(np.arange(50) % 2 == 0, 3)

    class Prepared:
        images = Images()

    chosen = curve.draw_patients(Prepared(), 40, np.random.default_rng(0))
    assert 40 <= chosen.sum() < 43
    counts = np.bincount(Images.patients[chosen], minlength=50)
    assert set(counts) <= {0, 3}
    assert curve.draw_patients(Prepared(), 151, np.random.default_rng(0)) is None
