"""The store of answers: what goes in comes out, for its very key, and outlives a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lungsight.errors import LungsightError
from lungsight.evaluation.answer_store import AnswerStore

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.tuples(st.sampled_from(["image", "altered"]), st.text(max_size=8), st.integers(0, 9) | st.none())


@given(st.dictionaries(KEYS, JSON, max_size=5), KEYS)
def test_each_key_has_its_own_answer_and_no_other(answers: dict[tuple, object], other: tuple) -> None:
    store = AnswerStore.in_memory()
    store.add(answers)
    assert store.get([*answers, other]) == answers


@given(
    st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.bool_]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    )
)
def test_an_array_comes_back_with_its_shape_and_type(array: np.ndarray) -> None:
    store = AnswerStore.in_memory()
    store.add({("a",): {"nested": [array]}})
    again = store.get([("a",)])[("a",)]["nested"][0]
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_a_killed_process_leaves_what_it_had_added(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from lungsight.evaluation.answer_store import AnswerStore\n"
        "with AnswerStore.open(Path(sys.argv[1])) as store:\n"
        "    for i in range(5):\n        store.add({('a', i): i})\n"
        "    store.database.execute(\"INSERT INTO answers VALUES ('half', x'00')\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.sqlite")], check=False)
    assert killed.returncode == -signal.SIGKILL
    with AnswerStore.open(tmp_path / "a.sqlite") as store:
        assert store.get([("a", i) for i in range(9)]) == {("a", i): i for i in range(5)}
        assert store.database.execute("SELECT count(*) FROM answers").fetchone() == (5,)


def test_a_file_that_is_no_store_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(LungsightError, match="damaged"), AnswerStore.open(tmp_path / "a.sqlite"):
        pass
    with pytest.raises(LungsightError, match="written"), AnswerStore.open(tmp_path / "a.sqlite" / "b.sqlite"):
        pass
