"""Try every layer between Python and a GPU by itself, and say of each whether it works.

    python benchmarks/gpu_first_light.py [--out FILE] [STEP ...]

Each step runs in a process of its own with a limit of time, so that none hides what another would
show. Ends with 0 if all of them work. Takes two to three minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LIMIT = 100.0
"""Seconds for one step; the first to import a large package may need most of them."""
_ADD = """
__global__ void add(const double *x, double *out, long long n) {
  long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < n) out[i] = x[i] + 1.0;
}
"""
_LINES_KEPT = 12


def main() -> int:
    """Run the steps; the number of those that fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="; ".join(STEPS))
    parser.add_argument("--out", type=Path, help="also write what was found as JSON")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(STEPS[options.steps[0]]())
        return 0
    found = {}
    for name in options.steps or STEPS:
        found[name] = _tried(name)
        print(_told(name, found[name]), flush=True)
        if options.out is not None:
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    failed = [name for name, one in found.items() if not one["ok"]]
    print(f"{len(found) - len(failed)} of {len(found)} work; not: {', '.join(failed) or 'none'}")
    return len(failed)


def _tried(name: str) -> dict[str, Any]:
    """Run a step in a process of its own."""
    begin = time.monotonic()
    command = [sys.executable, __file__, "--inside", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"ok": False, "seconds": LIMIT, "said": f"no end within {LIMIT:.0f} s"}
    said = done.stdout if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"
    kept = [line for line in said.splitlines() if line.strip()][-_LINES_KEPT:]
    seconds = time.monotonic() - begin
    return {"ok": done.returncode == 0, "seconds": seconds, "said": "\n".join(kept)}


def _told(name: str, one: dict[str, Any]) -> str:
    mark = "ok  " if one["ok"] else "FAIL"
    return f"{mark} {name} ({one['seconds']:.1f} s)\n    " + one["said"].replace("\n", "\n    ")


# --- The steps ----------------------------------------------------------------------------------


def driver() -> str:
    """The driver finds a card and carries bytes there and back."""
    from outpace.kernels.gpu.device import exercise_device, find_device  # noqa: PLC0415

    exercise_device()
    return str(find_device())


def management() -> str:
    """The management library tells clocks, throttling, heat and memory."""
    from outpace.kernels.gpu.readings import readings  # noqa: PLC0415

    with readings() as card:
        return str(card.read())


def target() -> str:
    """What promotions are keyed by."""
    from outpace.kernels.target import current_target  # noqa: PLC0415

    found = current_target()
    if found.gpu is None:
        raise SystemExit("/proc/driver/nvidia names no GPU: promotions would not tell cards apart")
    return str(found)


def compiler() -> str:
    """NVRTC compiles for this card."""
    from outpace.kernels.gpu.device import device_architecture  # noqa: PLC0415
    from outpace.kernels.languages.nvrtc import find_nvrtc  # noqa: PLC0415

    nvrtc = find_nvrtc()
    architecture = device_architecture()
    options = [f"--gpu-architecture={architecture}", "--std=c++17", "--ptxas-options=-v"]
    compiled = nvrtc.compile(_ADD, options, ["add"], {})
    return f"NVRTC {nvrtc.version}, {architecture}, {len(compiled.cubin)} bytes\n{compiled.log}"


def launch() -> str:
    """CuPy loads a cubin and launches it, and the numbers are right."""
    import cupy  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from outpace.kernels.gpu.device import device_architecture  # noqa: PLC0415
    from outpace.kernels.languages.nvrtc import find_nvrtc  # noqa: PLC0415

    options = [f"--gpu-architecture={device_architecture()}"]
    compiled = find_nvrtc().compile(_ADD, options, ["add"], {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "add.cubin"
        path.write_bytes(compiled.cubin)
        kernel = cupy.RawModule(path=str(path)).get_function(compiled.symbols["add"])
        x = cupy.asarray(np.arange(1000.0))
        out = cupy.empty(1000)
        out.fill(np.nan)
        kernel((8,), (128,), (x, out, np.int64(1000)), shared_mem=0)
    if not np.array_equal(out.get(), np.arange(1000.0) + 1):
        raise SystemExit(f"wrong numbers: {out.get()[:5]}")
    return f"CuPy {cupy.__version__}, {cupy.cuda.Device().attributes['L2CacheSize']} bytes of L2"


def clocks() -> str:
    """Events and the host's clock agree."""
    import cupy  # noqa: PLC0415

    from outpace.kernels.gpu.timing import CacheFlush, time_batch  # noqa: PLC0415

    source, target = (cupy.zeros(1 << 28, "uint8") for _ in range(2))
    flush = CacheFlush()
    times = [
        time_batch(lambda: cupy.copyto(target, source), calls, flush)
        for calls in (1, 1, 1, 4, 16, 64)
    ]
    lines = [f"{t.calls} copies: {t.events * 1e6:.1f} us by events, {t.wall * 1e6:.1f} us by the "
             f"host, {'agree' if t.agrees else 'DISAGREE'}" for t in times]  # fmt: skip
    if not all(t.agrees for t in times[1:]):
        raise SystemExit("\n".join(lines))
    return "\n".join(lines)


def roof() -> str:
    """Bandwidth and arithmetic rates."""
    from outpace.kernels.gpu.roofline import measure_roof  # noqa: PLC0415

    return str(measure_roof())


def confinement() -> str:
    """Under which layers of isolation the driver works."""
    from outpace.tuner.gpu.access import driver_fails, layers_to_try  # noqa: PLC0415
    from outpace.tuner.isolation.child import namespaces_refused  # noqa: PLC0415

    lines, works = [], False
    for layers in layers_to_try(namespaces=namespaces_refused() is None):
        why = driver_fails(layers)
        works = works or why is None
        lines.append(f"{layers}: {why or 'works'}")
        if why is None:
            break
    if not works:
        raise SystemExit("\n".join(lines))
    return "\n".join(lines)


def drafts() -> str:
    """What the built-in drafter writes compiles for this card."""
    from library import FUNCTIONS  # noqa: PLC0415

    from outpace.kernels.languages.cuda import CUDA  # noqa: PLC0415

    lines, failed = [], 0
    deadline = time.monotonic() + 0.6 * LIMIT
    for reference, draft in _builtin_drafts(FUNCTIONS):
        if time.monotonic() > deadline:
            lines.append("the others were not tried")
            break
        why = _not_compiled(CUDA, reference, draft)
        failed += why is not None
        lines += [f"{reference.name}, {draft.provenance.idea}: {why}"] if why is not None else []
    if failed:
        raise SystemExit("\n".join(lines))
    return "\n".join(lines) or "all compile"


def _builtin_drafts(names: Sequence[str]) -> list[tuple[Any, Any]]:
    from outpace.codegen.drafters.base import DraftingTask  # noqa: PLC0415
    from outpace.codegen.drafters.builtin import BuiltinDrafter  # noqa: PLC0415
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.kernels.target import current_target  # noqa: PLC0415

    found = []
    for name in names:
        reference = load_reference(f"outpace.kernels.library.{name}")
        task = DraftingTask(reference, current_target(), ("cuda",))
        found += [(reference, draft) for draft in BuiltinDrafter().propose(task).drafts]
    return found


def _not_compiled(language: Any, reference: Any, draft: Any) -> str | None:
    from outpace.kernels.languages.base import BuildError, InvalidDraft  # noqa: PLC0415
    from outpace.tuner.untimed import few_variants  # noqa: PLC0415

    variant = next(few_variants(draft))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "draft.cu"
        path.write_text(language.bind(variant), encoding="utf-8")
        try:
            language.build(path, reference.contract, Path(folder))
        except (BuildError, InvalidDraft) as error:
            return str(error).splitlines()[0]
    return None


def judged_on_the_host() -> str:
    """A draft for NumPy arrays is built, confined, and right."""
    return _judged(on_gpu=False)


def judged_on_the_gpu() -> str:
    """The same for arrays on the GPU, where it is timed too."""
    return _judged(on_gpu=True)


def _judged(*, on_gpu: bool) -> str:
    import numpy as np  # noqa: PLC0415

    from outpace.model import Trial  # noqa: PLC0415
    from outpace.tuner.evaluate import build_and_check  # noqa: PLC0415
    from outpace.tuner.gpu.baseline import why_not_cupy  # noqa: PLC0415
    from outpace.tuner.numerics.selfcheck import check_reference  # noqa: PLC0415
    from outpace.tuner.plan import draw_call  # noqa: PLC0415
    from outpace.tuner.untimed import few_variants  # noqa: PLC0415

    reference, draft = _builtin_drafts(["climate:hdiff"])[0]
    reference = reference.on_gpu() if on_gpu else reference
    checked = check_reference(reference, 1)
    lines = [f"the reference under CuPy: {why_not_cupy(checked) or 'runs'}"] if on_gpu else []
    outcome = build_and_check(reference, checked, next(few_variants(draft)), shrinks=False)
    if isinstance(outcome, Trial):
        raise SystemExit(f"{outcome.status}: {outcome.reason}\n{outcome.details}")
    workload = reference.contract.workload("large")
    call = draw_call(reference, workload, np.random.default_rng(1))
    with outcome.contender.start(reference.contract, [(1, workload.sizes)]) as worker:
        for _ in range(4):
            worker.prepare([call])
            lines.append(f"{1e6 * worker.run(60.0):.1f} us")
    return "\n".join([f"grade {outcome.grade}", *lines])


def _peer(name: str) -> Callable[[], str]:
    def step() -> str:
        from gpu_peers import first_light  # noqa: PLC0415

        return first_light(name)

    step.__doc__ = f"{name} computes on the card."
    return step


STEPS: dict[str, Callable[[], str]] = {
    "driver": driver,
    "management": management,
    "target": target,
    "compiler": compiler,
    "launch": launch,
    "clocks": clocks,
    "roof": roof,
    "confinement": confinement,
    "drafts": drafts,
    "judged-on-the-host": judged_on_the_host,
    "judged-on-the-gpu": judged_on_the_gpu,
    **{name: _peer(name) for name in ("torch", "jax", "numba-cuda")},
}


if __name__ == "__main__":
    sys.exit(main())
