"""What an archive is to the sender: it takes objects, and says later whether it holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from lungsight.pacs.queue import Sent


class SendingError(Exception):
    """An archive can't be reached or refuses; the step is tried again later. The text names no patient."""


class NoCommitmentError(Exception):
    """An archive doesn't offer storage commitment: that it took the objects is all that can be known."""


class Delivered(NamedTuple):
    """What an archive took.

    Attributes:
        objects: class and UID of each.
        left_out: kinds of objects that it doesn't take at all.
    """

    objects: list[Sent]
    left_out: tuple[str, ...] = ()


class Archive(ABC):
    """Where results go."""

    @abstractmethod
    def send(self, objects: list[tuple[Sent, bytes]]) -> Delivered:
        """Store the objects of one image; those that it has already count as stored. Raises SendingError."""

    @abstractmethod
    def holds(self, objects: list[Sent], study: str, transaction: str) -> bool | None:
        """Whether it holds all of the objects; None if it is to report by itself.

        Args:
            objects: of one image.
            study: its UID.
            transaction: a new UID, under which the archive reports.

        Raises:
            SendingError: the archive can't be asked now.
            NoCommitmentError: the archive can't be asked at all.
        """
