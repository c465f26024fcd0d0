"""One contender of one program on a GPU, timed in a process of its own.

    python benchmarks/gpu_peers.py TASK.json        # what `gpu.py` runs; prints one line of JSON

CuPy, JAX and torch.compile are given the reference's own source: under CuPy as it stands, ported
mechanically for JAX (`peers/jax_forms.py`), and through `torch.compiler.wrap_numpy`. For numba-cuda
there are kernels by hand (`gpu_numba_kernels.py`). Every result is held against the reference.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 15
BATCH_SECONDS = 5e-3
CALLS_MOST = 2000
LOOSEST = {"f": {4: 1e-3, 8: 1e-8}, "c": {8: 1e-3, 16: 1e-8}}
"""Largest error, in parts of the largest result, by kind and bytes of an element."""


@dataclass(frozen=True)
class Task:
    """What is to be timed.

    Attributes:
        program: `module:function` of the library.
        sizes: Of its one workload.
        contender: One of `CONTENDERS`.
        on_gpu: Whether arrays stay on the GPU; else they come from and go to NumPy in every call.
        promoted: Folder of outpace's promotions.
        expected: File for the results of the reference, which the first contender makes.
    """

    program: str
    sizes: dict[str, int]
    contender: str
    on_gpu: bool
    promoted: str
    expected: str


def main() -> None:
    """Time what the file asks for."""
    task = Task(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps(timed(task)))


def reference_of(program: str, sizes: dict[str, int]) -> Any:
    """A function of the library with one workload of these sizes, named `gpu`."""
    from outpace.codegen.reference import Reference, load_reference  # noqa: PLC0415

    known = load_reference(f"outpace.kernels.library.{program}")
    options = {**known.options.__dict__, "workloads": {"gpu": sizes}}
    return Reference(known.written, type(known.options)(**options))


def timed(task: Task) -> dict[str, Any]:
    """Samples in seconds of one call, the error, and versions.

    Batches are `BATCH_SECONDS` long, from an idle device to an idle device, by the host's clock:
    the streams of some contenders are not those of others. Calls of a batch take the same arrays,
    which are larger than the second-level cache.
    """
    from outpace.codegen.inputs import Case, draw_inputs  # noqa: PLC0415
    from outpace.kernels.gpu.timing import time_batch  # noqa: PLC0415
    from outpace.tuner.numerics.oracle import Oracle  # noqa: PLC0415

    reference = reference_of(task.program, task.sizes)
    contract = reference.contract
    case = Case.of_workload(contract.workload("gpu"), 7)
    inputs = draw_inputs(reference, case)
    kept = Path(task.expected)
    if not kept.exists():
        np.savez(kept, *Oracle(reference).native(inputs, case.sizes))
    with np.load(kept) as held:
        expected = [held[name] for name in held.files]
    call = CONTENDERS[task.contender](reference, inputs, task)
    error = worst_error(expected, call())
    if error is None:
        raise SystemExit("its result is not that of the reference")
    nothing = lambda: None  # noqa: E731
    once = min(time_batch(call, 1, nothing).wall for _ in range(3))
    calls = max(1, min(CALLS_MOST, int(BATCH_SECONDS / once)))
    samples = [time_batch(call, calls, nothing).wall / calls for _ in range(ROUNDS)]
    return {"samples": samples, "calls": calls, "error": error, "versions": versions(task)}


def worst_error(expected: list[Any], got: tuple[Any, ...]) -> float | None:
    """Largest difference in parts of the largest result; None where it is too large or NaN."""
    worst = 0.0
    for right, found in zip(expected, got, strict=True):
        host = _on_host(found).reshape(right.shape)
        if right.dtype.kind not in LOOSEST:
            if not np.array_equal(host, right):
                return None
            continue
        error = float(np.max(np.abs(host - right)) / max(float(np.max(np.abs(right))), 1e-300))
        if not error <= LOOSEST[right.dtype.kind][right.dtype.itemsize]:
            return None
        worst = max(worst, error)
    return worst


def _on_host(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value.get() if hasattr(value, "get") else value)


def versions(task: Task) -> dict[str, str]:
    """Of the packages that took part."""
    wanted = {"cupy": "cupy-cuda13x", "torch": "torch", "jax": "jax", "numba-cuda": "numba-cuda"}
    found = {}
    for name in {wanted.get(task.contender, "numpy"), "numpy", "cupy-cuda13x"}:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# --- Contenders ---------------------------------------------------------------------------------
# Each gives a function without arguments that returns mutated arguments, then results.

Call = Callable[[], tuple[Any, ...]]


def _parts(returned: Any) -> tuple[Any, ...]:
    parts = returned if isinstance(returned, tuple) else (returned,)
    return tuple(part for part in parts if part is not None)


def _refuse_mutation(reference: Any) -> None:
    if reference.contract.mutated:
        raise SystemExit("programs that change their arguments are not compared")


def outpace(reference: Any, inputs: dict[str, Any], task: Task) -> Call:
    """What was promoted, as it is served."""
    import cupy  # noqa: PLC0415

    from outpace.codegen.abi import output_shapes  # noqa: PLC0415
    from outpace.kernels import builds, promotions  # noqa: PLC0415

    layout = promotions.ON_GPU if task.on_gpu else promotions.WHOLE
    found = [
        stored
        for stored in promotions.find(reference, Path(task.promoted))
        if stored.promotion.key.layout == layout
        and any(e.workload.sizes == task.sizes for e in stored.promotion.evidence)
    ]
    if not found:
        raise SystemExit("nothing was promoted")
    newest = max(found, key=lambda stored: stored.promotion.created)
    variant = newest.promotion.variant
    kernel = builds.load_promoted(variant, reference.contract, on_gpu=task.on_gpu)
    given = _given(reference, inputs, cupy.asarray if task.on_gpu else np.asarray)
    new = cupy.empty if task.on_gpu else np.empty
    shapes = output_shapes(reference.contract, task.sizes)
    pairs = list(zip(shapes, reference.contract.outputs, strict=True))

    def call() -> tuple[Any, ...]:
        outputs = [new(shape, output.dtype) for shape, output in pairs]
        kernel(*given, *outputs)
        return tuple(outputs)

    return call


def under_cupy(reference: Any, inputs: dict[str, Any], task: Task) -> Call:
    """The reference's source with CuPy for NumPy."""
    import cupy  # noqa: PLC0415

    from outpace.kernels.gpu.numpy_on_gpu import function_on_gpu  # noqa: PLC0415

    function = function_on_gpu(reference.closure)
    given = _given(reference, inputs, cupy.asarray)
    if task.on_gpu:
        return lambda: _parts(function(*given))
    host = _given(reference, inputs, np.asarray)

    def carried() -> tuple[Any, ...]:
        there = [cupy.asarray(v) if isinstance(v, np.ndarray) else v for v in host]
        return tuple(_on_host(part) for part in _parts(function(*there)))

    return carried


def under_torch(reference: Any, inputs: dict[str, Any], task: Task) -> Call:
    """The reference's source through `torch.compile`."""
    import torch  # noqa: PLC0415

    function = _plain(reference.closure.module_text(), reference.closure.name)
    compiled = torch.compile(torch.compiler.wrap_numpy(function))

    def there(value: Any) -> Any:
        return torch.from_numpy(np.array(value)).cuda() if isinstance(value, np.ndarray) else value

    given = _given(reference, inputs, there)
    host = _given(reference, inputs, np.asarray)

    def call() -> tuple[Any, ...]:
        if task.on_gpu:
            return tuple(_Tensor(part) for part in _parts(compiled(*given)))
        return tuple(_Tensor(p).get() for p in _parts(compiled(*map(there, host))))

    torch.set_grad_enabled(False)
    torch.set_default_device("cuda")  # for arrays that the program makes
    if task.on_gpu and not all(part.tensor.is_cuda for part in call()):
        raise SystemExit("torch.compile runs it on the host")
    return call


@dataclass(frozen=True)
class _Tensor:
    """A tensor with CuPy's way of coming to the host."""

    tensor: Any

    def get(self) -> np.ndarray[Any, Any]:
        return np.asarray(self.tensor.cpu() if hasattr(self.tensor, "cpu") else self.tensor)


def under_jax(reference: Any, inputs: dict[str, Any], task: Task) -> Call:
    """A mechanical port under `jax.jit`, integer arguments static."""
    import jax  # noqa: PLC0415

    jax.config.update("jax_enable_x64", val=True)
    from peers.forms import integer_names  # noqa: PLC0415
    from peers.jax_forms import ported  # noqa: PLC0415

    function = _plain(ported(reference), reference.closure.name)
    compiled = jax.jit(function, static_argnames=tuple(integer_names(reference)))
    given = _given(reference, inputs, jax.device_put)
    host = _given(reference, inputs, np.asarray)
    if task.on_gpu:
        return lambda: _parts(jax.block_until_ready(compiled(*given)))
    return lambda: tuple(np.asarray(part) for part in _parts(compiled(*host)))


def under_numba_cuda(reference: Any, inputs: dict[str, Any], task: Task) -> Call:
    """A kernel by hand, where there is one."""
    import gpu_numba_kernels  # noqa: PLC0415

    name = reference.closure.name
    make = getattr(gpu_numba_kernels, name, None)
    if make is None:
        raise SystemExit("there is no kernel for numba-cuda by hand")
    return make(_given(reference, inputs, np.asarray), on_gpu=task.on_gpu)  # type: ignore[no-any-return]


def _plain(text: str, name: str) -> Callable[..., Any]:
    """A function from source, in a module of its own, which compilers can look into."""
    path = Path(tempfile.mkdtemp()) / "peer_program.py"  # kept: its source is read again later
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("peer_program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peer_program"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)  # type: ignore[no-any-return]


def _given(reference: Any, inputs: dict[str, Any], take: Callable[[Any], Any]) -> list[Any]:
    _refuse_mutation(reference)
    values = [inputs[a.name] for a in reference.contract.arguments]
    return [take(v) if isinstance(v, np.ndarray) else v for v in values]


CONTENDERS: dict[str, Callable[[Any, dict[str, Any], Task], Call]] = {
    "outpace": outpace,
    "cupy": under_cupy,
    "torch": under_torch,
    "jax": under_jax,
    "numba-cuda": under_numba_cuda,
}


def first_light(name: str) -> str:
    """Let a peer compute something small on the card; raises what it raises."""
    sizes = {"I": 64, "J": 64, "K": 32}
    with tempfile.TemporaryDirectory() as folder:
        kept = str(Path(folder) / "expected.npz")
        found = timed(Task("climate:hdiff", sizes, name, True, "", kept))
    return f"{1e6 * min(found['samples']):.1f} us, error {found['error']:.1e}, {found['versions']}"


if __name__ == "__main__":
    main()
