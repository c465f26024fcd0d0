"""What a compiled draft in CUDA takes of the hardware: registers, memory, spills, occupancy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from outpace.codec import Value
from outpace.codegen.cuda import Launch, LaunchPlan, resolve
from outpace.codegen.cuda.limits import Architecture, occupancy
from outpace.codegen.dims import sizes_text
from outpace.kernels.languages.base import BuildError, InvalidDraft
from outpace.model import Contract, Scalar

_ENTRY = re.compile(r"Compiling entry function '(?P<symbol>\w+)' for")
_SPILLS = re.compile(
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads"
)
_REGISTERS = re.compile(r"Used (?P<registers>\d+) registers")
_SHARED = re.compile(r"(?P<shared>\d+) bytes smem")


class KernelUse(Value, frozen=True):
    """What the assembler says of one kernel.

    Attributes:
        kernel: As the plan names it.
        symbol: Its name in the cubin.
        registers: Of a thread.
        shared: Bytes of static shared memory of a block.
        stack: Bytes of local memory of a thread.
        spilled: Bytes of registers that a thread stores to memory, and loads again.
        most_threads: Of a block, by `__launch_bounds__`; None without it.
    """

    kernel: str
    symbol: str
    registers: int
    shared: int = 0
    stack: int = 0
    spilled: tuple[int, int] = (0, 0)
    most_threads: int | None = None


class LaunchUse(Value, frozen=True):
    """How one launch of the plan fills a multiprocessor.

    Attributes:
        kernel: As the plan names it.
        workload: At whose sizes.
        grid: Blocks.
        block: Threads.
        shared: Bytes of shared memory of a block, static and dynamic.
        blocks: Resident blocks of one multiprocessor.
        occupancy: Resident warps over the most there can be, 0 to 1.
        limit: What keeps more out.
    """

    kernel: str
    workload: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    blocks: int
    occupancy: float
    limit: str


class DeviceReport(Value, frozen=True):
    """A compiled draft on one architecture."""

    architecture: str
    compiler: str
    kernels: tuple[KernelUse, ...]
    launches: tuple[LaunchUse, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """For people: one line a kernel, one a launch."""
        kernels = (
            f"{k.kernel}: {k.registers} registers, {k.shared} bytes of static shared memory, "
            + (f"spills {k.spilled[0]} bytes" if any(k.spilled) else "no spills")
            for k in self.kernels
        )
        launches = (
            f"{u.kernel} at {u.workload}: {_times(u.grid)} blocks of {_times(u.block)}, "
            f"{u.shared} bytes shared, occupancy {u.occupancy:.0%} (limited by {u.limit})"
            for u in self.launches
        )
        return (*kernels, *launches)


def kernels_used(
    symbols: Mapping[str, str], log: str, bounds: Mapping[str, int]
) -> tuple[KernelUse, ...]:
    """What is known of these kernels.

    Args:
        symbols: Names in the cubin by the plan's names.
        log: Of NVRTC with `--ptxas-options=-v`.
        bounds: Threads of a block by `__launch_bounds__`, by the name in the cubin, where declared.

    Raises:
        InvalidDraft: One of them is no kernel.
    """
    parts = _ENTRY.split(log)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    missing = [kernel for kernel, symbol in symbols.items() if symbol not in found]
    if missing:
        raise InvalidDraft(f"{missing[0]} is no kernel; declare it `__global__ void`")
    return tuple(
        _kernel_use(k, symbol, found[symbol], bounds.get(symbol)) for k, symbol in symbols.items()
    )


def launches_used(
    kernels: Iterable[KernelUse],
    architecture: Architecture,
    plan: LaunchPlan,
    params: Mapping[str, Scalar],
    contract: Contract,
) -> tuple[LaunchUse, ...]:
    """How every different launch at the contract's workloads fills the architecture.

    Raises:
        BuildError: One cannot be launched there; the message has the numbers.
        DraftError: The plan cannot be resolved at a workload.
    """
    uses = {use.kernel: use for use in kernels}
    listed = []
    for workload in contract.workloads:
        launches = resolve(plan, workload.sizes, params, contract).launches
        shapes = dict.fromkeys((u.kernel, u.grid, u.block, u.shared) for u in launches)
        for kernel, grid, block, shared in shapes:
            launch = Launch(kernel, grid, block, shared, ())
            at = f"{kernel} at {workload.name} ({sizes_text(workload.sizes)})"
            used = _launch_use(launch, uses[kernel], architecture, at)
            listed.append(LaunchUse(kernel, workload.name, grid, block, *used))
    return tuple(listed)


def _kernel_use(kernel: str, symbol: str, text: str, most_threads: int | None) -> KernelUse:
    registers, shared, spills = (pattern.search(text) for pattern in (_REGISTERS, _SHARED, _SPILLS))
    if registers is None:
        raise BuildError(f"the assembler does not say how many registers {kernel} takes: {text}")
    return KernelUse(
        kernel,
        symbol,
        int(registers["registers"]),
        int(shared["shared"]) if shared else 0,
        int(spills["stack"]) if spills else 0,
        (int(spills["stores"]), int(spills["loads"])) if spills else (0, 0),
        most_threads,
    )


def _launch_use(
    launch: Launch, use: KernelUse, architecture: Architecture, at: str
) -> tuple[int, int, float, str]:
    """Shared bytes, resident blocks, occupancy, limit."""
    threads = launch.block[0] * launch.block[1] * launch.block[2]
    shared = use.shared + launch.shared
    if use.most_threads is not None and threads > use.most_threads:
        raise BuildError(
            f"{at} has blocks of {threads} threads; the kernel declares "
            f"`__launch_bounds__({use.most_threads})`"
        )
    if shared > architecture.shared_per_block:
        raise BuildError(
            f"{at} needs {shared} bytes of shared memory ({use.shared} static, {launch.shared} "
            f"dynamic); {architecture.name} has {architecture.shared_per_block} for a block"
        )
    found = occupancy(architecture, threads, use.registers, shared)
    if found.blocks == 0:
        raise BuildError(
            f"{at} needs {use.registers} registers for each of {threads} threads, "
            f"{use.registers * threads} in all; {architecture.name} has 65536 for a block, given "
            "in units of 256 to a warp; launch fewer threads, or declare "
            f"`__launch_bounds__({threads})`"
        )
    return shared, found.blocks, found.share, found.limit


def _times(extents: tuple[int, int, int]) -> str:
    return " x ".join(map(str, extents))
