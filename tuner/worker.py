"""The process in which a draft is built or runs: it obeys the judge and knows nothing.

Started by `outpace.tuner.process.Worker` as `main(<JSON>)`, or as the steps of `rehearsal(<JSON>)`
where it is to look like a user's process, with four inherited descriptors. It
confines itself before it loads the draft; the reference is trusted and runs unconfined. It holds no
seed and no expected value, and no clock unless its calls take arrays on a GPU (`gpu/running.py`);
all that it reports besides the contents of its output arena is for messages to people.

Protocol, one byte each way on the hot path:
    worker: `r` + length + JSON with its grade, then it waits
    judge: `l` to load
    worker: `r` + length + JSON when it has built or loaded
    judge: `m` + length + JSON message, or `g` to run the prepared batch
    worker: `d` when done, `r` + length + JSON reply, or at any time `e` + length + JSON error
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from outpace.model import Grade
from outpace.tuner.isolation.sandbox import Layers, Limits, confine, die_with_spawner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outpace.kernels.rehearsal_process import Step
    from outpace.tuner.arena import Mapping
    from outpace.tuner.gpu.running import OnGpu


def main(text: str) -> None:
    """Obey until the judge closes the channel."""
    setup = json.loads(text)
    commands, replies = setup["commands"], setup["replies"]
    _end_with_judge(setup)
    layers = Layers(namespaces=False, landlock=False, seccomp=False)
    if setup["kind"] != "reference":
        layers = _confined(setup)
    _send(replies, b"r", {"grade": _grade(layers, setup)})
    _read_exactly(commands, 1)
    try:
        run = _loaded(setup)
    except BaseException as error:  # noqa: BLE001  (whatever a draft raises is reported)
        _send(replies, b"e", _describe(error))
        return
    _send(replies, b"r", {"compiled": run.compiled})
    try:
        _obey(commands, replies, run, setup)
    except BaseException as error:  # noqa: BLE001
        _send(replies, b"e", _describe(error))


def rehearsal(text: str) -> Iterator[Step]:
    """The steps of a rehearsal, which the top level of the script takes; see `steps`.

    Where a step raises, the process ends, as a user's would.
    """
    setup = json.loads(text)
    commands, replies = setup["commands"], setup["replies"]
    _end_with_judge(setup)
    layers = _confined(setup)
    _send(replies, b"r", {"grade": _grade(layers, setup)})
    _read_exactly(commands, 1)
    from outpace.codec import decode  # noqa: PLC0415  (after confinement)
    from outpace.kernels.dispatcher import Returns  # noqa: PLC0415
    from outpace.kernels.rehearsal_process import look_ordinary, steps  # noqa: PLC0415
    from outpace.model import Contract  # noqa: PLC0415
    from outpace.tuner.arena import Mapping  # noqa: PLC0415

    inputs = Mapping(setup["inputs"], setup["input_size"], writable=False)
    outputs = Mapping(setup["outputs"], setup["output_size"], writable=True)
    batches = _batches(commands, replies, inputs, outputs)
    contract = decode(setup["contract"], Contract)
    source, returns = Path(setup["source"]), Returns(**setup["returns"])
    look_ordinary(marked=not layers.seccomp)
    return steps(setup["language"], source, contract, _cache(setup), returns, batches)


def _batches(
    commands: int, replies: int, inputs: Mapping, outputs: Mapping
) -> Iterator[list[list[Any]]]:
    """What the judge asks for, one batch after another; each is done when the next is taken."""
    _send(replies, b"r", {})
    batch: list[list[Any]] = []
    while command := os.read(commands, 1):
        if command == b"g":
            yield batch
            os.write(replies, b"d")
        else:
            message = _receive(commands)
            batch = [_arguments(item, inputs, outputs) for item in message["items"]]
            _send(replies, b"r", {})


def _end_with_judge(setup: dict[str, Any]) -> None:
    """See to it that this process, and what it starts, ends when the judge does."""
    if setup.get("programs") and not setup["layers"]["namespaces"]:
        # No draft runs here, and what is started cannot leave the group; see `seccomp.install`.
        signal.signal(signal.SIGTERM, _end_group)
        die_with_spawner(signal.SIGTERM)
    else:
        die_with_spawner()
    closed = select.poll()
    closed.register(setup["commands"], 0)
    if closed.poll(0):  # the judge had ended before
        sys.exit(0)


def _end_group(*_: object) -> NoReturn:
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _confined(setup: dict[str, Any]) -> Layers:
    view, scratch = setup["view"], Path(setup["view"]["scratch"])
    writable = [str(scratch)]
    if setup["kind"] == "build":
        writable.append(view["build"])
    elif view["build"] is not None:
        # Compilers write to their caches when they only read them, too; this copy ends with us.
        import shutil  # noqa: PLC0415

        shutil.copytree(view["build"], _cache(setup))
    readable = [*view["readable"], view["folder"], "/proc", *setup["devices"]]
    return confine(
        Limits(**setup["limits"]),
        readable,
        writable,
        Layers(**setup["layers"]),
        programs=setup["programs"],
        gpu=setup.get("gpu", ()),
    )


def _grade(layers: Layers, setup: dict[str, Any]) -> str:
    """What the layers add up to; at most B where the driver of a GPU is open to the process."""
    return max(layers.grade, Grade.B).value if "gpu" in setup else layers.grade.value


def _cache(setup: dict[str, Any]) -> Path:
    """The folder that a language builds into, or loads from."""
    view = setup["view"]
    return Path(view["build"]) if setup["kind"] == "build" else Path(view["scratch"], "build")


def _loaded(setup: dict[str, Any]) -> _Kernel | _Reference | _Built | OnGpu:
    if setup["kind"] == "reference":
        if setup.get("residence") == "device":
            return _reference_on_gpu(setup)
        from outpace.codegen.reference import load_function  # noqa: PLC0415

        return _Reference(load_function(*setup["location"]), mutates=setup["mutates"])
    from outpace.codec import decode  # noqa: PLC0415
    from outpace.kernels.languages import language_named  # noqa: PLC0415
    from outpace.model import Contract  # noqa: PLC0415

    language = language_named(setup["language"])
    source, contract = Path(setup["source"]), decode(setup["contract"], Contract)
    cache = _cache(setup)
    if setup["kind"] == "build":
        language.build(source, contract, cache)
        if not language.runs_to_build:
            return _Built()
    if setup.get("residence") == "device":
        from outpace.tuner.gpu.running import kernel_on_gpu  # noqa: PLC0415

        return kernel_on_gpu(language.name, source, contract, cache, setup["served"])
    kernel = language.load(source, contract, cache)
    return _Kernel(kernel, compiled=not language.runs_to_build or hasattr(kernel, "py_func"))


def _reference_on_gpu(setup: dict[str, Any]) -> OnGpu:
    from outpace.codec import decode  # noqa: PLC0415
    from outpace.model import Contract  # noqa: PLC0415
    from outpace.tuner.gpu.running import reference_on_gpu  # noqa: PLC0415

    contract = decode(setup["contract"], Contract)
    return reference_on_gpu(setup["location"], contract, with_cupy=setup["with_cupy"])


def _obey(commands: int, replies: int, run: Any, setup: dict[str, Any]) -> None:
    from outpace.tuner.arena import Mapping  # noqa: PLC0415  (after confinement)

    inputs = Mapping(setup["inputs"], setup["input_size"], writable=False)
    outputs = Mapping(setup["outputs"], setup["output_size"], writable=True)
    batch: list[list[Any]] = []
    read, write = os.read, os.write
    while True:
        command = read(commands, 1)
        if command == b"g":
            run(batch)
            write(replies, b"d")
        elif command == b"m":
            message = _receive(commands)
            if message["do"] == "prepare":
                taken = (_arguments(item, inputs, outputs) for item in message["items"])
                batch = [run.given(arguments) for arguments in taken]
                _send(replies, b"r", {})
            elif message["do"] == "publish":
                run.publish(batch, message["items"], outputs)
                _send(replies, b"r", {})
            elif message["do"] == "allocate":
                _send(replies, b"r", {"seconds": _allocation_seconds(message["arrays"])})
            else:  # of arrays on a GPU
                _send(replies, b"r", run.do(message, batch))
        else:
            return


class _Built:
    """Stands for a draft that was built and is not run here."""

    compiled = True

    def __call__(self, batch: list[list[Any]]) -> None:
        """Do nothing; never asked for."""


class _Kernel:
    """Runs a draft: outputs are written where they are asked for.

    `compiled` tells a kernel that is compiled from a plain function, which compiles what it calls
    when it is first called.
    """

    def __init__(self, kernel: Any, *, compiled: bool) -> None:
        self._kernel = kernel
        self.compiled = compiled

    def __call__(self, batch: list[list[Any]]) -> None:
        kernel = self._kernel
        for arguments in batch:
            kernel(*arguments)

    def given(self, arguments: list[Any]) -> list[Any]:
        """What it is called with, which is not timed: the arguments themselves."""
        return arguments

    def publish(self, batch: Any, items: Any, outputs: Any) -> None:
        """Nothing to do; see `_Reference`."""


class _Reference:
    """Runs the reference: it returns new arrays, which are copied out after the clock stopped.

    In a batch each result is dropped for the next, as a caller would: results that were all kept
    would push each other out of the caches. They are computed again to be copied out, unless the
    reference changes its arguments.
    """

    compiled = True

    def __init__(self, function: Any, *, mutates: bool) -> None:
        from outpace.codegen.structured import FlatFunction  # noqa: PLC0415  (unconfined)

        self._flat = function if isinstance(function, FlatFunction) else None
        self._function = _positional(function if self._flat is None else self._flat.written)
        self._mutates = mutates
        self._returned: list[Any] = []

    def given(self, arguments: list[Any]) -> list[Any]:
        """What it is called with, which is not timed: a caller has its structures at hand."""
        return arguments if self._flat is None else self._flat.gathered(arguments)

    def __call__(self, batch: list[list[Any]]) -> None:
        function = self._function
        if len(batch) == 1 or self._mutates:
            for arguments in batch:
                self._returned.append(function(*arguments))
        else:
            for arguments in batch:
                returned = function(*arguments)  # noqa: F841  (held until the next one is there)

    def publish(self, batch: list[list[Any]], items: Any, outputs: Mapping) -> None:
        """Copy what was returned into the output arena."""
        everything = self._returned or (self._function(*arguments) for arguments in batch)
        for returned, item in zip(everything, items, strict=True):
            parts = returned if isinstance(returned, tuple) else (returned,)
            for part, place in zip(parts, item, strict=False):
                outputs.at(place)[...] = part
        self._returned = []


def _allocation_seconds(arrays: list[tuple[list[int], str]]) -> float:
    """Time to allocate and first touch these arrays: fresh ones filled, less filled again.

    Only ever asked of the reference's process, whose word can be taken. Median of 5, each repeated
    until about a megabyte was filled, so that small arrays are not lost in the clock.
    """
    import time  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415

    costs = []
    repeats = 1
    for _ in range(6):
        begin = time.perf_counter()
        for _ in range(repeats):
            fresh = [np.empty(shape, dtype) for shape, dtype in arrays]
            for array in fresh:
                array.fill(0)
        middle = time.perf_counter()
        for _ in range(repeats):
            for array in fresh:
                array.fill(0)
        costs.append(((middle - begin) - (time.perf_counter() - middle)) / repeats)
        repeats = max(1, min(500, (1 << 20) // (sum(array.nbytes for array in fresh) + 1)))
        del fresh  # the last array lives on in `array`, as a caller's last result does
    return max(0.0, sorted(costs[1:])[2])


def _positional(function: Any) -> Any:
    """The function itself, or where it has keyword-only parameters one that takes them in order."""
    import inspect  # noqa: PLC0415

    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if not names:
        return function
    first = len(parameters) - len(names)
    return lambda *given: function(*given[:first], **dict(zip(names, given[first:], strict=True)))


def _arguments(item: list[Any], inputs: Mapping, outputs: Mapping) -> list[Any]:
    """Arguments of one call; each is `["i"|"o", place]` or `["s", kind, value]`."""
    values: list[Any] = []
    for part in item:
        if part[0] == "s":
            values.append(_scalar(part[1], part[2]))
        else:
            values.append((inputs if part[0] == "i" else outputs).at(part[1]))
    return values


def _scalar(dtype: str, value: Any) -> Any:
    """A scalar as the reference's caller passes it: Python numbers for Python annotations."""
    if dtype == "bool":
        return bool(value)
    if dtype == "complex128":
        return complex(*value)
    if dtype == "float64":
        return float(value)
    if dtype == "int64":
        return int(value)
    import numpy as np  # noqa: PLC0415

    return np.dtype(dtype).type(complex(*value) if dtype == "complex64" else value)


def _describe(error: BaseException) -> dict[str, Any]:
    import traceback  # noqa: PLC0415

    text = "".join(traceback.format_exception(error, limit=-6))
    return {
        "kind": type(error).__name__,
        "errno": getattr(error, "errno", None),
        "text": str(error)[:8000],
        "where": text[-8000:],
    }


def _receive(descriptor: int) -> Any:
    size = int.from_bytes(_read_exactly(descriptor, 4), "little")
    return json.loads(_read_exactly(descriptor, size))


def _read_exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(descriptor, size - len(data))
        if not part:
            sys.exit(0)
        data += part
    return data


def _send(descriptor: int, mark: bytes, message: dict[str, Any]) -> None:
    body = json.dumps(message).encode()
    data = mark + len(body).to_bytes(4, "little") + body
    while data:
        data = data[os.write(descriptor, data) :]
