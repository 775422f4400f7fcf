"""Stages that overlap: order, bounds, faults and an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.scanning.pipeline import Stage, through


def _double(items: list[int]) -> list[int]:
    return [2 * item for item in items]


@given(
    st.lists(st.integers(), max_size=60), st.integers(1, 4), st.integers(1, 5), st.integers(1, 9), st.integers(1, 3)
)
def test_results_come_in_order_whatever_the_threads(
    items: list[int], threads: int, at_once: int, under_way: int, stages: int
) -> None:
    work = [Stage(f"s{number}", _double, threads, at_once) for number in range(stages)]
    assert list(through(work, items, under_way)) == [2**stages * item for item in items]


def test_the_slow_are_waited_for_and_the_quick_keep_their_place() -> None:
    def slow_if_even(items: list[int]) -> list[int]:
        for item in items:
            time.sleep(0.01 if item % 2 == 0 else 0)
        return items

    assert list(through([Stage("s", slow_if_even, 4)], range(20), 8)) == list(range(20))


def test_no_more_than_the_bound_is_under_way() -> None:
    pulled, ahead = 0, []

    def items() -> Iterator[int]:
        nonlocal pulled
        for number in range(50):
            pulled += 1
            yield number

    for given_out, _ in enumerate(through([Stage("s", _double, 3)], items(), 5)):
        ahead.append(pulled - given_out)
    assert max(ahead) <= 5 + 1  # the one that is being handed out makes room


def test_batches_form_where_a_stage_is_slow_and_stay_within_bounds() -> None:
    sizes = []

    def slow(items: list[int]) -> list[int]:
        sizes.append(len(items))
        time.sleep(0.01)
        return items

    list(through([Stage("quick", _double, 2), Stage("slow", slow, 1, at_once=4)], range(60), 12))
    assert sum(sizes) == 60
    assert max(sizes) == 4


def test_stages_overlap() -> None:
    both, met = threading.Semaphore(0), []

    def first(items: list[int]) -> list[int]:
        both.release()
        return items

    def second(items: list[int]) -> list[int]:
        met.append(both.acquire(timeout=5))  # needs what the first stage does for a later item
        return items

    both_needed = Stage("first", first), Stage("second", second)
    assert both.acquire(blocking=False) is False
    assert list(through(both_needed, range(6), 4)) == list(range(6))
    assert all(met)


def test_a_fault_is_raised_in_its_place_and_the_threads_end() -> None:
    def refuses_three(items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three")
        return items

    results = through([Stage("refusing", refuses_three, 2), Stage("after", _double)], range(9), 4)
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    with pytest.raises(ValueError, match="three"):
        next(results)
    _threads_end("refusing", "after", "feeding")


def test_a_fault_of_the_items_themselves_is_raised_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    results = through([Stage("s", _double)], items(), 4)
    assert [next(results) for _ in range(2)] == [2, 4]
    with pytest.raises(OSError, match="gone"):
        next(results)


def test_what_is_done_comes_out_though_nothing_new_comes_in() -> None:
    come = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert come.wait(timeout=10)  # as a watched folder that nothing arrives in
        yield 2

    results = through([Stage("s", _double)], items(), 4)
    assert next(results) == 2
    come.set()
    assert list(results) == [4]


def test_closing_it_ends_the_threads() -> None:
    results = through([Stage("closing", _double, 3)], range(1000), 4)
    next(results)
    results.close()  # type: ignore[attr-defined]
    _threads_end("closing", "feeding")


def _threads_end(*names: str) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(names):
            thread.join(timeout=10)
            assert not thread.is_alive(), thread.name
