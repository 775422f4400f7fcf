"""The queue forgets nothing, and does nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.errors import LungsightError
from lungsight.pacs.queue import MOST_ATTEMPTS, Queue, Sent, State, name_of
from lungsight.pacs.selection import why_not
from lungsight.pacs.store import Store, open_queue

OBJECTS = [Sent("1.2.840.10008.5.1.4.1.1.7", "2.25.1"), Sent("1.2.840.10008.5.1.4.1.1.88.34", "2.25.2")]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "q.sqlite")


def test_an_image_comes_to_its_end_and_is_done_again_when_it_comes_again(queue: Queue) -> None:
    number = queue.receive("1.2.3")
    assert queue.receive("1.2.3") == number
    assert [one.number for one in queue.due([State.RECEIVED], 9)] == [number]
    queue.move(number, State.JUDGED)
    queue.made(number, OBJECTS)
    queue.sent(number, OBJECTS)
    queue.asked(number, "2.25.9")
    found = queue.asked_in("2.25.9")
    assert found is not None
    assert (found.number, found.state) == (number, State.SENT)
    assert queue.objects(number) == OBJECTS
    assert queue.is_ours("2.25.2")
    assert queue.receive("1.2.3") == number  # it is being dealt with
    assert queue.count(State.SENT) == 1
    queue.move(number, State.COMMITTED)
    assert queue.receive("1.2.3") == number  # it was deleted and came again
    assert queue.count(State.RECEIVED) == 1


def test_what_was_written_is_there_after_it_is_opened_anew(tmp_path: Path) -> None:
    with Queue(tmp_path / "q.sqlite") as queue:
        queue.receive("1.2.3", ("here", 7))
        queue.pass_by("modality MR", ("here", 8))
        queue.pass_by("modality MR")
    with Queue(tmp_path / "q.sqlite") as again:
        assert again.followed("here") == 8
        assert again.followed("elsewhere") is None
        assert again.counts().passed_by == {"modality MR": 2}
        assert again.counts().images[State.RECEIVED] == 1


def test_what_fails_comes_later_and_last_and_is_given_up_in_the_end(queue: Queue) -> None:
    first, second = queue.receive("1.2.3"), queue.receive("1.2.4")
    (waiting, _) = queue.due([State.RECEIVED], 9)
    queue.begin(first)
    queue.retry(waiting, "it fell over")
    assert [one.number for one in queue.due([State.RECEIVED], 9)] == [second]
    assert queue.counts().problems == [(first, State.RECEIVED, "it fell over")]
    queue.retry(waiting._replace(attempts=MOST_ATTEMPTS - 1), "again")
    assert queue.count(State.GIVEN_UP) == 1
    queue.retry(waiting._replace(number=second, attempts=99), "an archive is off", for_ever=True)
    assert queue.count(State.GIVEN_UP) == 1


def test_names_tell_images_apart_and_hold_no_uid() -> None:
    assert name_of("1.2.3") != name_of("1.2.4")
    assert "1.2.3" not in name_of("1.2.3")


def test_a_store_removes_what_was_never_acknowledged_and_what_is_done(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        number = store.receive("1.2.3", b"image")
        store.keep_results(name_of("1.2.3"), [("sc", b"picture")])
        store.image("acknowledged-never").write_bytes(b"image")
        assert store.image(name_of("1.2.3")).stat().st_mode & 0o077 == 0
        with pytest.raises(LungsightError, match="another service"):
            Store(tmp_path / "s")
    with Store(tmp_path / "s") as store:
        assert store.image(name_of("1.2.3")).read_bytes() == b"image"
        assert not store.image("acknowledged-never").exists()
        store.queue.move(number, State.COMMITTED)
    with Store(tmp_path / "s") as store:
        assert not store.image(name_of("1.2.3")).exists()
        assert store.results(name_of("1.2.3")) == []
    with open_queue(tmp_path / "s") as queue:
        assert queue.count(State.COMMITTED) == 1
    with pytest.raises(LungsightError, match="holds no queue"):
        open_queue(tmp_path / "elsewhere")


_DX = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "SOPInstanceUID": "1.2.3", "Modality": "DX", "Manufacturer": "X"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "Modality": "CR"}, None),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, None),  # nih's images are secondary captures of modality DX
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"}, "modality OT"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}, "CT Image Storage"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "For Processing"),
        ({"Manufacturer": "lungsight"}, "a result of lungsight"),
        ({"SOPInstanceUID": "2.25.1"}, "a result of lungsight"),
        ({"SOPInstanceUID": ""}, "no SOP Instance UID"),
        ({"Modality": "Jane^Doe"}, "no modality"),
        ({"SOPClassUID": "Jane^Doe"}, "a class of no radiograph"),
    ],
)
def test_what_is_passed_by_and_why(changed: dict[str, str], reason: str | None) -> None:
    found = why_not(_DX | changed, lambda uid: uid == "2.25.1")
    assert found is None if reason is None else reason in str(found)
