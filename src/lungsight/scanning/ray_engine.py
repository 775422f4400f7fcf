"""The same scanner on many machines: Ray Data hands the images out, and takes them back from workers that die.

What comes back are findings with their pictures drawn, one at a time and in no order; the process that asked writes
them, so that a scan is as durable and resumable as one on a single machine, and a worker's death can't write a row
twice.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungsight._cores import cores
from lungsight.components.runtime import AUTO
from lungsight.errors import LungsightError
from lungsight.inference.detector import Detector
from lungsight.package import ModelPackage
from lungsight.package.storage import MemoryStorage
from lungsight.reading import ImageFile
from lungsight.scanning.outputs import Drawing, Drawn, OutputPaths
from lungsight.scanning.scan import scan_and_finish
from lungsight.scanning.sources import Found

if TYPE_CHECKING:
    from ray import ObjectRef

#: Images that are handed out together: what a dying worker takes with it, and is done again.
_TOGETHER = 16
_MOST_BLOCKS = 4000
#: For a cluster to answer.
_SECONDS = 10.0
#: What went wrong is said by us, in a sentence.
_SETTINGS = {"RAY_DATA_LOG_LEVEL": "CRITICAL", "RAY_BACKEND_LOG_LEVEL": "fatal"}

#: Ray's own switch for machines where a firewall would ask: a cluster of one machine talks over loopback alone.
_ON_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


class Worker:
    """One process with the model, on one core. Ray makes as many as there is room for."""

    def __init__(
        self,
        path: Path,
        contents: ObjectRef[Mapping[str, bytes]],
        places: OutputPaths,
        runtime: str,
        keep_identifiers: bool,
    ) -> None:
        import ray

        package = ModelPackage(MemoryStorage(path, ray.get(contents)))
        self._detector = Detector.load(package, threads=1, runtime=runtime, keep_identifiers=keep_identifiers)
        self._drawing = Drawing(places, self._detector)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The images of a batch, scanned and drawn."""
        drawn = scan_and_finish(list(batch["found"]), self._detector, self._drawing.draw, threads=1)
        return {"drawn": _column(list(drawn))}


def scan_on_ray(
    found: Sequence[Found],
    package: ModelPackage,
    places: OutputPaths,
    *,
    address: str | None = None,
    workers: int = 0,
    runtime: str = AUTO,
    keep_identifiers: bool = False,
) -> Generator[Drawn]:
    """The findings of ``found``, drawn, each once, as they come.

    Args:
        found: what to scan. Files must lie where every machine of the cluster finds them by the same path.
        package: the model; it is sent to the workers.
        places: of which the pictures' folders are written by the workers, and must be shared by all machines.
        address: of a Ray cluster (``auto``: the one this machine belongs to); None starts one here, and ends it.
        workers: the most processes at once; 0: as many as the cluster has cores.
        runtime: what runs the networks.
        keep_identifiers: findings carry the patient's ID.

    Raises:
        LungsightError: there is no cluster at ``address``, or a picture can't be written.
    """
    if not found:
        return
    os.environ.update({name: value for name, value in _SETTINGS.items() if name not in os.environ})
    if address is None:
        os.environ[_ON_LOOPBACK] = "0"
    import ray

    _connect(address, workers)
    contents = ray.put(package.contents())  # kept in sight to the end: a worker that starts again needs it again
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False
        most = workers or int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        blocks = max(1, min(-(-len(found) // _TOGETHER), _MOST_BLOCKS))
        items = [{"found": _anywhere(one)} for one in found]
        drawn = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            Worker,
            fn_constructor_args=(package.path, contents, _places_anywhere(places), runtime, keep_identifiers),
            batch_size=_TOGETHER,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, min(most, blocks))),
            num_cpus=1,
        )  # Ray Data restarts a worker that dies, and gives what it had to do to another
        for row in drawn.iter_rows():
            yield row["drawn"]
    except ray.exceptions.RayError as error:
        raise _ours(error) from error
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if address is None:
            with _without_statistics():
                ray.init(address="local", num_cpus=workers or cores(), include_dashboard=False, **quiet)
        else:
            _knock(address)
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises plain ones: a node that is too slow to start on a busy machine
        reason = (str(error).splitlines() or [""])[0][:200].rstrip(".")
        hint = "check the address, RAY_AUTH_MODE, and that the cluster runs the same Ray and Python"
        raise LungsightError(address or "ray", f"no Ray can be reached or started ({reason})", hint) from error


@contextmanager
def _without_statistics() -> Iterator[None]:
    """Start no process for Ray's usage statistics.

    Though they are switched off, and there is no dashboard, it would ask the metadata services of three clouds whose
    machine this is, one of them by name.
    """
    from ray._private import services

    honest = services.start_api_server
    services.start_api_server = lambda *args, **settings: (None, None)
    try:
        yield
    finally:
        services.start_api_server = honest


def _knock(address: str) -> None:
    """Raise OSError where nobody listens; Ray itself would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()


def _column(values: list[Drawn]) -> NDArray[np.object_]:
    """One object a row, whatever they are made of."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _anywhere(found: Found) -> Found:
    """With a path that doesn't rest on the working directory."""
    return replace(found, path=found.path.absolute()) if isinstance(found, ImageFile) else found


def _places_anywhere(places: OutputPaths) -> OutputPaths:
    heatmaps, overlays = (None if path is None else path.absolute() for path in (places.heatmaps, places.overlays))
    return OutputPaths(html=places.html, heatmaps=heatmaps, overlays=overlays)


def _ours(error: BaseException) -> BaseException:
    """The Fault that a worker raised, or what Ray itself has to say."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, LungsightError):
            return link
        cause = getattr(link, "cause", None)
        link = cause if isinstance(cause, BaseException) else link.__cause__
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:300].rstrip(".")
    return LungsightError("ray", f"the scan was broken off ({reason})", "give the same command again to go on")
