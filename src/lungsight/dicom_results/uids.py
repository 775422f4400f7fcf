"""UIDs that follow from what an object says: the same image and the same package always make the same object."""

from __future__ import annotations

import uuid

#: Raised whenever an object made of the same finding would have other bytes than before: a UID may name one object
#: only.
EDITION = "1"


def derived_uid(*parts: str) -> str:
    """A UID under 2.25 that these texts determine (PS3.5 B.2, with a name-based UUID of RFC 9562)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '|'.join((EDITION, *parts))).int}"


def device_uid(package_sha256: str) -> str:
    """The UID of the device that a package is."""
    return derived_uid("package", package_sha256)
