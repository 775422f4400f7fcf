"""Results into an archive by DICOMweb: STOW-RS, and QIDO-RS to see that they are there."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TypeVar

import httpx
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from lungsight.pacs.queue import Sent
from lungsight.pacs.sending import Archive, Delivered, SendingError

T = TypeVar("T")


class Stow(Archive):
    """A DICOMweb service.

    Args:
        url: of its root, with user and password if it wants them.
    """

    def __init__(self, url: str) -> None:
        stated = httpx.URL(url)
        session = requests.Session()
        if stated.username:
            session.auth = (stated.username, stated.password)
        self._client = DICOMwebClient(str(stated.copy_with(username=None, password=None)), session=session)

    def send(self, objects: list[tuple[Sent, bytes]]) -> Delivered:
        """Store the objects in one request."""
        datasets = [dcmread(BytesIO(data)) for _, data in objects]
        answer = _asked(lambda: self._client.store_instances(datasets))
        if answer.get("FailedSOPSequence"):
            raise SendingError(f"refused {len(answer.FailedSOPSequence)} of {len(objects)} objects")
        return Delivered([sent for sent, _ in objects])

    def holds(self, objects: list[Sent], study: str, transaction: str) -> bool | None:
        """Whether each is found in the study."""
        found = _asked(lambda: self._client.search_for_instances(study_instance_uid=study, fields=["SOPInstanceUID"]))
        there = {one.get("00080018", {}).get("Value", [""])[0] for one in found}
        return all(one.uid in there for one in objects)


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except requests.HTTPError as error:
        status = "an error" if error.response is None else error.response.status_code
        raise SendingError(f"answers {status}") from error
    except requests.RequestException as error:
        raise SendingError(f"can't be reached ({type(error).__name__})") from error
