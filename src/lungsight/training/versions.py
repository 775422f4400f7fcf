"""The libraries that a training rests on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = (
    "lungsight", "torch", "torchvision", "fastai", "timm", "numpy", "pandas", "onnxruntime", "pydicom", "pillow",
)  # fmt: skip


def installed_versions() -> dict[str, str | None]:
    """Each library's version; None where it isn't installed."""
    return {library: _version(library) for library in _LIBRARIES}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
