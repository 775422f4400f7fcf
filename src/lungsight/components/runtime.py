"""What runs a network: one small interface, and behind it onnxruntime or OpenVINO, on processors or a GPU.

All networks of a package take one input, ``pixels``, float32 [N, 1, side, side]. Whatever library runs them, numbers
are float32 throughout: no library may trade digits for speed, or an image would have another answer elsewhere.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungsight._cores import cores
from lungsight.components.onnx_safety import UnusableNetworkError, refuse_foreign
from lungsight.errors import LungsightError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

INPUT = "pixels"
#: The best of those that are installed.
AUTO = "auto"
_NOT_THE_INPUT = f"its input must be '{INPUT}', float32 [N, 1, side, side]"


class LoadedNetwork(Protocol):
    """A network that is ready to run. Safe to call from several threads.

    Attributes:
        takes_batches: whether several images at once are quicker than one by one.
        given: the names of its outputs.
    """

    takes_batches: bool
    given: set[str]

    def run(self, outputs: Sequence[str], pixels: Floats) -> list[NDArray[Any]]:
        """The named outputs for ``pixels``, float32 [N, 1, side, side], in the order of their names."""
        ...


def open_network(
    onnx_file: bytes, outputs: Sequence[str], threads: int = 0, runtime: str = AUTO, *, checked: bool = False
) -> LoadedNetwork:
    """The network of an ONNX file, ready to run.

    Args:
        onnx_file: its bytes.
        outputs: what it has to give.
        threads: cores for one call of :meth:`LoadedNetwork.run` (0: all). Several calls at once take so many each.
        runtime: a name of :func:`runtimes`, or ``auto``.
        checked: :func:`refuse_foreign` has passed the file already.

    Raises:
        UnusableNetworkError: not ONNX, not self-contained, with operators of its own, not loadable, or without
            that input and those outputs.
        LungsightError: this machine has no such runtime.
    """
    if not checked:
        refuse_foreign(onnx_file)
    name = choose(runtime)
    try:
        network = _RUNTIMES[name](onnx_file, threads)
    except UnusableNetworkError:
        raise
    except Exception as error:  # each library has a dozen kinds, with no base of their own
        raise UnusableNetworkError(f"{name} can't load it ({_first_line(error)})") from error
    if not network.given.issuperset(outputs):
        first, last = outputs[:-1], outputs[-1]
        raise UnusableNetworkError(f"it must give {', '.join(first)}{' and ' if first else ''}{last}")
    return network


def runtimes() -> tuple[str, ...]:
    """The runtimes that can be used here, the one to be preferred first: docs/results/runtimes.md says why."""
    return tuple(name for name, is_here in _AVAILABLE.items() if is_here())


def choose(runtime: str = AUTO) -> str:
    """The name of the runtime. Raises LungsightError if this machine lacks it."""
    here = runtimes()
    if runtime == AUTO:
        return here[0]
    if runtime not in here:
        raise LungsightError(runtime, "is no runtime of this machine", f"give one of {', '.join(here)}, or {AUTO}")
    return runtime


class _OnnxRuntime:
    """By onnxruntime."""

    takes_batches = False
    providers: tuple[Any, ...] = ("CPUExecutionProvider",)

    def __init__(self, onnx_file: bytes, threads: int) -> None:
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle cores decode the next image
        options.log_severity_level = 4  # what matters comes as an exception
        self._session: InferenceSession = onnxruntime.InferenceSession(
            onnx_file, options, providers=list(self.providers)
        )
        inputs = [(node.name, node.type, len(node.shape)) for node in self._session.get_inputs()]
        if inputs != [(INPUT, "tensor(float)", 4)]:
            raise UnusableNetworkError(_NOT_THE_INPUT)
        self.given = {node.name for node in self._session.get_outputs()}

    def run(self, outputs: Sequence[str], pixels: Floats) -> list[NDArray[Any]]:
        return list(self._session.run(list(outputs), {INPUT: pixels}))


class _OnnxRuntimeOnCuda(_OnnxRuntime):
    """By onnxruntime on an NVIDIA GPU; TF32 would keep 10 of 23 bits."""

    takes_batches = True
    providers = (("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider")


class _OpenVino:
    """By OpenVINO."""

    takes_batches = False
    device = "CPU"

    def __init__(self, onnx_file: bytes, threads: int) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(model=onnx_file)
        inputs = [
            (_name(port.get_names()), port.get_element_type(), len(port.partial_shape)) for port in model.inputs
        ]
        if inputs != [(INPUT, openvino.Type.f32, 4)]:
            raise UnusableNetworkError(_NOT_THE_INPUT)
        self._compiled = core.compile_model(model, self.device, self.settings(threads))
        self._outputs = {name: port for port in self._compiled.outputs for name in port.get_names()}
        self.given = set(self._outputs)
        self._of_this_thread = threading.local()  # a request is no place where two threads may meet

    def settings(self, threads: int) -> Mapping[str, Any]:
        used = threads or cores()
        streams = max(1, cores() // used)
        return {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": used * streams,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # the machine isn't ours alone
        }

    def run(self, outputs: Sequence[str], pixels: Floats) -> list[NDArray[Any]]:
        request = getattr(self._of_this_thread, "request", None)
        if request is None:
            request = self._of_this_thread.request = self._compiled.create_infer_request()
        request.infer({INPUT: pixels})
        # copied: the next call writes to the same place
        return [request.get_tensor(self._outputs[name]).data.copy() for name in outputs]


class _OpenVinoOnGpu(_OpenVino):
    """By OpenVINO on an Intel GPU."""

    takes_batches = True
    device = "GPU"

    def settings(self, threads: int) -> Mapping[str, Any]:
        return {"INFERENCE_PRECISION_HINT": "f32"}


_RUNTIMES: Mapping[str, Callable[[bytes, int], LoadedNetwork]] = {
    "onnxruntime-cuda": _OnnxRuntimeOnCuda,
    "openvino-gpu": _OpenVinoOnGpu,
    "onnxruntime": _OnnxRuntime,
    "openvino": _OpenVino,
}


def _onnxruntime() -> ModuleType:
    """The library, with its telemetry off: a program may have imported it before :mod:`lungsight._environment`."""
    import onnxruntime

    library: ModuleType = onnxruntime
    if hasattr(library, "disable_telemetry_events"):
        library.disable_telemetry_events()
    return library


def _has_cuda() -> bool:
    if find_spec("onnxruntime") is None or not os.path.exists("/dev/nvidiactl"):
        return False
    return "CUDAExecutionProvider" in _onnxruntime().get_available_providers()


def _has_intel_gpu() -> bool:
    if find_spec("openvino") is None or not os.path.exists("/dev/dri"):
        return False
    import openvino

    return any(device.startswith("GPU") for device in openvino.Core().available_devices)


_AVAILABLE: Mapping[str, Callable[[], bool]] = {
    "onnxruntime-cuda": _has_cuda,
    "openvino-gpu": _has_intel_gpu,
    "onnxruntime": lambda: find_spec("onnxruntime") is not None,
    "openvino": lambda: find_spec("openvino") is not None,
}


def _name(names: Iterable[str]) -> str:
    return min(names, default="")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
