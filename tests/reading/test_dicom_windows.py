"""The windows and tables of a header, for a viewer's list of presets."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from lungsight.reading.dicom_header import Header
from lungsight.reading.dicom_windows import windows_of

NUMBERS = np.arange(4096, dtype=np.float64)


def header(**elements: object) -> Header:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return Header(dataset)


def table(entries: list[int], name: str) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), 0, 12])
    item.add_new("LUTData", "US", entries)
    item.LUTExplanation = name
    return item


def test_defective_windows_are_left_out_without_a_warning() -> None:
    stated = header(WindowCenter=[500, 100, 20], WindowWidth=[0, -5, 11])
    assert [(w.name, w.center, w.width) for w in windows_of(stated, NUMBERS)] == [("window 3", 19.5, 10)]
    assert stated.warnings == []


@pytest.mark.parametrize(("function", "edges"), [("LINEAR", (94.5, 104.5)), ("LINEAR_EXACT", (94.5, 105.5))])
def test_black_and_white_are_where_the_standard_puts_them(function: str, edges: tuple[float, float]) -> None:
    (window,) = windows_of(header(WindowCenter=100, WindowWidth=11, VOILUTFunction=function), NUMBERS)
    np.testing.assert_allclose(window.shown(np.array(edges)), [0, 1], atol=1e-6)
    assert 0 < window.shown(np.array(edges[0] + 0.1)) < window.shown(np.array(edges[1] - 0.1)) < 1


def test_a_sigmoid() -> None:
    (window,) = windows_of(header(WindowCenter=100, WindowWidth=40, VOILUTFunction="SIGMOID"), NUMBERS)
    at = np.array([70.0, 100.0, 130.0])
    np.testing.assert_allclose(window.shown(at), 1 / (1 + np.exp(-4 * (at - 100) / 40)), atol=1e-3)


def test_tables_come_first_and_keep_their_names() -> None:
    tables = [table([0, 4095], "HARDER"), Dataset(), table([0, 1000, 4095], "SOFTER")]
    stated = header(VOILUTSequence=tables, WindowCenter=50, WindowWidth=10)
    windows = list(windows_of(stated, NUMBERS))
    assert [w.name for w in windows] == ["HARDER", "SOFTER", "window 1"]
    np.testing.assert_allclose(windows[1].shown(np.array([0, 1, 2, 4095])), [0, 1000 / 4095, 1, 1], atol=1e-3)
