"""The launch plan of a draft in CUDA: what is launched, how often, over which memory.

A plan is data. Trusted code reads it, so that no host code of a draft ever runs. Its numbers are
integer expressions (`outpace.codegen.cuda.expressions`) over dims, int arguments, parameters, the
plan's own lets and loop indices.
"""

from __future__ import annotations

from outpace.codec import Value


class BufferPlan(Value, frozen=True):
    """Scratch memory on the device, of undefined content at the start of every call.

    Attributes:
        name: By which steps name it.
        dtype: NumPy dtype name.
        shape: One expression an axis.
    """

    name: str
    dtype: str
    shape: tuple[str, ...]


class LaunchStep(Value, frozen=True):
    """One kernel launch.

    Attributes:
        kernel: Name of the kernel, with template arguments if it has any: `step<TILE, 4>`.
        grid: One to three expressions, x first. Where one is 0, nothing is launched.
        block: The same; threads.
        shared: Bytes of dynamic shared memory.
        arguments: Names of arrays, names of scalar arguments, or expressions.
    """

    kernel: str
    grid: tuple[str, ...]
    block: tuple[str, ...]
    shared: str = "0"
    arguments: tuple[str, ...] = ()


class FillStep(Value, frozen=True):
    """Set every element of a buffer, an output or a mutated argument."""

    array: str
    value: float | int


class CopyStep(Value, frozen=True):
    """Copy all elements of an array to another of the same dtype and shape."""

    source: str
    target: str


class SwapStep(Value, frozen=True):
    """Exchange the memory of two names, of which at least one is a buffer."""

    first: str
    second: str


class RepeatStep(Value, frozen=True):
    """Steps for every index of `range(first, end, step)`."""

    index: str
    first: str
    end: str
    step: str
    steps: tuple[Step, ...]


class WhenStep(Value, frozen=True):
    """Steps that are taken where a condition holds."""

    condition: str
    steps: tuple[Step, ...]


Step = LaunchStep | FillStep | CopyStep | SwapStep | RepeatStep | WhenStep
"""One entry of `steps`."""


class ModelPlan(Value, frozen=True):
    """What a draft says of itself. It is shown beside what is known, and decides nothing.

    Attributes:
        moved: Bytes that a call moves, as an expression; None where it is not told.
        operations: `+ - * /` on floats in a call, likewise.
    """

    moved: str | None = None
    operations: str | None = None


class LaunchPlan(Value, frozen=True):
    """All of a plan, in the order in which it runs.

    Attributes:
        let: Names for expressions; each may use those before it.
        buffers: Scratch memory.
        steps: What happens.
        model: What the draft says of its work, or None.
    """

    let: dict[str, str]
    buffers: tuple[BufferPlan, ...]
    steps: tuple[Step, ...]
    model: ModelPlan | None = None
