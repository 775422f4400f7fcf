"""The whole loop against a real Orthanc: from its archive and back, and as a DICOM node."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from dicom_phantom import phantom_bytes
from lungsight.dicom_results.objects import Kind
from lungsight.inference import Detector
from lungsight.pacs.dicom_node import Address, Node, Receiver
from lungsight.pacs.orthanc import Follower, Orthanc
from lungsight.pacs.queue import State
from lungsight.pacs.service import Judge, Sender, serve
from lungsight.pacs.store import Store
from lungsight.pacs.stow import Stow
from network_namespace import Namespace
from orthanc_server import DICOM, OURS, URL, OrthancServer

SETS = Counter({"DX": 1, "OT": 1, "SR": 1})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level("INFO", "lungsight.pacs")
    return lambda: caplog.text


def _until_empty(judge: Judge, sender: Sender, receive: Callable[[Event], None]) -> None:
    serve(judge, sender, receive, Event(), until_empty=True)


def _followed(orthanc: OrthancServer, store: Store, keeping: Detector) -> None:
    archive = Orthanc(URL)
    _until_empty(Judge(store, keeping, threads=1), Sender(store, archive), Follower(archive, store, 0.3).run)


@pytest.mark.slow
def test_what_arrives_in_orthanc_gets_its_results_once(
    network: Namespace, orthanc: OrthancServer, store: Store, keeping: Detector, log: Callable[[], str]
) -> None:
    sent = [
        phantom_bytes(0), phantom_bytes(1),
        phantom_bytes(2, Modality="MR", AccessionNumber="NONE"),
        phantom_bytes(3, ViewPosition="LL", ViewCodeSequence=[], AccessionNumber="LATERAL"),
        phantom_bytes(4, AccessionNumber="DAMAGED")[:-3000],
    ]  # fmt: skip
    for data in sent[:4]:
        network.run(orthanc.take, data)
    network.run(_followed, orthanc, store, keeping)
    found = network.run(orthanc.results)
    assert found == {"A0": SETS, "A1": SETS, "NONE": Counter({"MR": 1}), "LATERAL": Counter({"DX": 1})}
    counts = store.queue.counts()
    assert counts.images[State.COMMITTED] == 2
    assert counts.images[State.PASSED_BY] == 1
    assert counts.passed_by == {"modality MR": 1, "a result of lungsight": 4}
    network.run(orthanc.take, sent[0])  # the same image a second time
    network.run(_followed, orthanc, store, keeping)
    assert network.run(orthanc.results) == found
    assert "image 1 received" in log()
    assert not [word for word in ("P-0", "ntom", "A0", "2.25.") if word in log()]


@pytest.mark.slow
def test_as_a_dicom_node_results_are_sent_and_committed(
    network: Namespace, orthanc: OrthancServer, store: Store, keeping: Detector
) -> None:
    def loop() -> tuple[list[int], int]:
        ours, there = Address(OURS[0], "127.0.0.1", OURS[1]), Address("ORTHANC", "127.0.0.1", DICOM)
        receiver = Receiver(store, ours, ["MODALITY", "ORTHANC"])
        statuses = []

        def receive(stopped: Event) -> None:
            server = receiver.start()
            statuses.extend(_stored([phantom_bytes(0), phantom_bytes(1), phantom_bytes(0)], "MODALITY"))
            stopped.wait()
            server.shutdown()

        _until_empty(Judge(store, keeping, list(Kind), 1), Sender(store, Node(there, ours.title, store)), receive)
        return statuses, store.queue.count(State.COMMITTED)

    statuses, committed = network.run(loop)
    assert statuses == [0, 0, 0]
    assert committed == 2
    kinds = Counter({"OT": 1, "SR": 1, "PR": 1, "SEG": 1})
    assert network.run(orthanc.results) == {"A0": kinds, "A1": kinds}


def _stored(images: list[bytes], title: str) -> list[int]:
    datasets = [dcmread(BytesIO(data)) for data in images]
    entity = AE(ae_title=title)
    entity.add_requested_context(Verification)
    for dataset in datasets:
        entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", OURS[1], ae_title=OURS[0])
    if not association.is_established:
        return [-1]
    assert association.send_c_echo().Status == 0
    statuses = [association.send_c_store(dataset).Status for dataset in datasets]
    association.release()
    return statuses


def test_the_node_takes_what_it_keeps_from_whom_it_knows(network: Namespace, store: Store) -> None:
    def calls() -> tuple[list[int], list[int]]:
        server = Receiver(store, Address(OURS[0], "127.0.0.1", OURS[1]), ["MODALITY"]).start()
        try:
            return _stored([phantom_bytes(0), phantom_bytes(1, Modality="MR")], "MODALITY"), _stored([], "STRANGER")
        finally:
            server.shutdown()

    known, stranger = network.run(calls)
    assert known == [0, 0]
    assert stranger == [-1]
    assert store.queue.count(State.RECEIVED) == 1
    (waiting,) = store.queue.due([State.RECEIVED], 9)
    assert dcmread(store.image(waiting.name)).PatientID == "P-0"
    assert store.queue.counts().passed_by == {"modality MR": 1}


@pytest.mark.slow
def test_by_stow_results_are_stored_and_found(
    network: Namespace, orthanc: OrthancServer, store: Store, keeping: Detector
) -> None:
    def arrive(stopped: Event) -> None:
        data = phantom_bytes(0)
        store.receive(str(dcmread(BytesIO(data)).SOPInstanceUID), data)
        stopped.wait()

    archive = Stow(f"{URL}/dicom-web")
    network.run(_until_empty, Judge(store, keeping, threads=1), Sender(store, archive), arrive)
    assert network.run(orthanc.results) == {"A0": Counter({"OT": 1, "SR": 1})}
    assert store.queue.count(State.COMMITTED) == 1


@pytest.mark.slow
def test_an_archive_that_is_off_for_a_while_loses_nothing(
    network: Namespace, orthanc: OrthancServer, store: Store, keeping: Detector
) -> None:
    network.run(orthanc.take, phantom_bytes(0))

    def off_and_on() -> None:
        archive, stopped = Orthanc(URL), Event()
        assert Follower(archive, store).step()
        orthanc.stop()
        sender, judge = Sender(store, archive), Judge(store, keeping, threads=1)
        working = Thread(target=serve, args=(judge, sender, lambda stopped: stopped.wait(), stopped))
        working.start()
        deadline = time.monotonic() + 120
        while not store.queue.counts().problems and time.monotonic() < deadline:
            time.sleep(0.2)
        orthanc.start()
        while store.queue.count(State.COMMITTED) == 0 and time.monotonic() < deadline:
            time.sleep(0.2)
        stopped.set()
        working.join()

    network.run(off_and_on)
    assert network.run(orthanc.results) == {"A0": SETS}


def test_addresses_are_read_and_mistakes_named(tmp_path: Path) -> None:
    assert Address.of("PACS@10.0.0.5:104", "--send") == Address("PACS", "10.0.0.5", 104)
    assert Address.of("LUNGSIGHT:11112", "--listen", host="127.0.0.1") == Address("LUNGSIGHT", "127.0.0.1", 11112)
