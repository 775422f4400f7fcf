"""lungsight as a DICOM node: it takes images by C-STORE, and sends results by C-STORE with storage commitment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from threading import Event
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # named as the module is imported
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from lungsight.dicom_results.uids import derived_uid
from lungsight.errors import LungsightError
from lungsight.pacs.queue import Sent
from lungsight.pacs.selection import READ, TAKEN, why_not
from lungsight.pacs.sending import Archive, Delivered, NoCommitmentError, SendingError
from lungsight.pacs.service import conclude
from lungsight.pacs.store import Store

_log = logging.getLogger("lungsight.pacs")

#: Everything that `reading` decodes.
_SYNTAXES = [
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless,
    *JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes,
]  # fmt: skip
_MOST_ASSOCIATIONS = 4
_SECONDS = 60
SUCCESS, OUT_OF_RESOURCES, NOT_UNDERSTOOD, NO_SUCH_TRANSACTION = 0x0000, 0xA700, 0xC000, 0x0211
#: Taken: successes, those that are there already, and warnings about elements of no importance.
_TAKEN = (SUCCESS, 0x0111, 0xB000, 0xB006, 0xB007)
#: Some archives know the older class only, which has the same content.
_OLDER = {Comprehensive3DSRStorage: ComprehensiveSRStorage}


@dataclass(frozen=True)
class Address:
    """An application entity: title, host and port."""

    title: str
    host: str
    port: int

    @classmethod
    def of(cls, text: str, option: str, *, host: str = "") -> Address:
        """From ``AET@HOST:PORT``, or ``AET:PORT`` if a host is given. Raises LungsightError."""
        title, _, rest = text.partition("@") if not host else text.rpartition(":")
        stated_host, _, port = (host, "", rest) if host else rest.rpartition(":")
        if not (0 < len(title) <= 16 and stated_host and port.isdigit() and 0 < int(port) < 65536):
            form = "AET:PORT" if host else "AET@HOST:PORT"
            raise LungsightError(option, f"'{text}' isn't {form}", "an AE title has at most 16 characters")
        return cls(title, stated_host, int(port))


class Receiver:
    """Takes images by C-STORE, and reports of storage commitment.

    Args:
        store: where images are kept.
        address: to listen on.
        allowed: titles of the application entities that may call.
    """

    def __init__(self, store: Store, address: Address, allowed: Sequence[str]) -> None:
        self._store, self._address = store, address
        self._entity = _entity(address.title)
        self._entity.require_called_aet = True
        self._entity.require_calling_aet = list(allowed)
        self._entity.maximum_associations = _MOST_ASSOCIATIONS
        self._entity.add_supported_context(Verification)
        for sop_class in TAKEN:
            self._entity.add_supported_context(sop_class, _SYNTAXES)
        self._entity.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)

    def run(self, stopped: Event) -> None:
        """Listen until ``stopped`` is set. Raises LungsightError if the port isn't free."""
        server = self.start()
        stopped.wait()
        server.shutdown()

    def start(self) -> Any:
        """Listen in threads of pynetdicom's; what it returns is shut down to stop. Raises LungsightError."""
        handlers: list[Any] = [(evt.EVT_C_STORE, self._stored), (evt.EVT_N_EVENT_REPORT, reports(self._store))]
        place = (self._address.host, self._address.port)
        try:
            return self._entity.start_server(place, block=False, evt_handlers=handlers)
        except OSError as error:
            problem = f"can't be listened on ({error.strerror})"
            raise LungsightError(f"{place[0]}:{place[1]}", problem, "name another port or address") from error

    def _stored(self, event: Any) -> int:
        """Success only once the image is on the disk and in the queue, or is none that lungsight takes."""
        try:
            return self._take(event.encoded_dataset())
        except OSError as error:
            _log.error("an image can't be kept: %s", error.strerror)
            return OUT_OF_RESOURCES
        except Exception as error:  # whatever a defective data set makes pydicom raise
            _log.error("an image can't be understood: %s", type(error).__name__)
            return NOT_UNDERSTOOD

    def _take(self, data: bytes) -> int:
        read = dcmread(BytesIO(data), specific_tags=list(READ), stop_before_pixels=True)
        header = {keyword: str(read.get(keyword) or "") for keyword in READ}
        reason = why_not(header, self._store.queue.is_ours)
        if reason is not None:
            _log.info("an object passed by: %s", reason)
            self._store.queue.pass_by(reason)
            return SUCCESS
        _log.info("image %d received", self._store.receive(header["SOPInstanceUID"], data))
        return SUCCESS


class Node(Archive):
    """An archive that takes C-STORE, and storage commitment where it offers it.

    Args:
        address: of the archive.
        title: our own.
        store: where its reports are kept.
    """

    def __init__(self, address: Address, title: str, store: Store) -> None:
        self._address, self._title, self._store = address, title, store

    def send(self, objects: list[tuple[Sent, bytes]]) -> Delivered:
        """One association for the objects of an image, which proposes their classes and no others."""
        entity = _entity(self._title)
        for sop_class in dict.fromkeys(sent.sop_class for sent, _ in objects):
            entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
            if older := _OLDER.get(UID(sop_class)):
                entity.add_requested_context(older, ExplicitVRLittleEndian)
        association = self._associated(entity)
        try:
            accepted = {context.abstract_syntax for context in association.accepted_contexts}
            taken, left_out = [], []
            for _, data in objects:
                dataset = _as_accepted(dcmread(BytesIO(data)), accepted)
                if dataset is None:
                    left_out.append(dcmread(BytesIO(data), stop_before_pixels=True).SOPClassUID.name)
                    continue
                _check(association.send_c_store(dataset))
                taken.append(Sent(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)))
        finally:
            association.release()
        return Delivered(taken, tuple(left_out))

    def holds(self, objects: list[Sent], study: str, transaction: str) -> bool | None:
        """Ask the archive to commit; it reports to the :class:`Receiver`, or at once."""
        entity = _entity(self._title)
        entity.add_requested_context(StorageCommitmentPushModel)
        association = self._associated(entity, [(evt.EVT_N_EVENT_REPORT, reports(self._store))])
        try:
            if not association.accepted_contexts:
                raise NoCommitmentError
            status, _ = association.send_n_action(
                _request(objects, transaction), 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            _check(status)
        finally:
            association.release()
        return None

    def _associated(self, entity: AE, handlers: Sequence[tuple[Any, Callable[..., Any]]] = ()) -> Any:
        association = entity.associate(
            self._address.host, self._address.port, ae_title=self._address.title, evt_handlers=list(handlers)
        )
        if association.is_established:
            return association
        if association.is_rejected:
            raise SendingError("rejects the association")
        if getattr(association, "rejected_contexts", None) and not association.accepted_contexts:
            raise NoCommitmentError if len(entity.requested_contexts) == 1 else SendingError("takes no class")
        raise SendingError("can't be reached")


def reports(store: Store) -> Callable[[Any], tuple[int, None]]:
    """What an archive's report of storage commitment does: images are done, or sent again."""

    def reported(event: Any) -> tuple[int, None]:
        report = event.event_information
        waiting = store.queue.asked_in(str(report.get("TransactionUID", "")))
        if waiting is None:
            return NO_SUCH_TRANSACTION, None
        conclude(store, waiting, held=event.event_type == 1 and not report.get("FailedSOPSequence"))
        return SUCCESS, None

    return reported


def _entity(title: str) -> AE:
    """An application entity that waits for nobody for ever."""
    entity = AE(ae_title=title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _SECONDS
    entity.connection_timeout = 10
    return entity


def _as_accepted(dataset: Dataset, accepted: set[str]) -> Dataset | None:
    """An object in a class that the archive accepts; None if it accepts none."""
    if dataset.SOPClassUID in accepted:
        return dataset
    older = _OLDER.get(dataset.SOPClassUID)
    if older not in accepted:
        return None
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = older
    dataset.SOPInstanceUID = derived_uid(str(dataset.SOPInstanceUID), "older class")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _check(status: Dataset) -> None:
    """Raise SendingError unless the status is one of success."""
    if "Status" not in status:
        raise SendingError("broke the connection off")
    if status.Status not in _TAKEN:
        raise SendingError(f"answers 0x{status.Status:04x}")


def _request(objects: list[Sent], transaction: str) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = []
    for one in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class, one.uid
        asked.ReferencedSOPSequence.append(item)
    return asked
