"""A launch plan with its numbers filled in: a flat list of actions over named memory.

Memory is named after the array that owns it at the start of a call. Swaps are settled here: actions
name the memory that an array has at that moment, and copies at the end bring every result to where
the caller expects it. Whoever carries out the actions knows launches, fills and copies only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from outpace.codec import Value
from outpace.codegen.abi import Role, slots
from outpace.codegen.cuda.expressions import parse_condition, parse_integer
from outpace.codegen.cuda.limits import check_launch
from outpace.codegen.cuda.names import Names, check_plan
from outpace.codegen.cuda.plan import (
    CopyStep,
    FillStep,
    LaunchPlan,
    LaunchStep,
    RepeatStep,
    Step,
    SwapStep,
    WhenStep,
)
from outpace.codegen.dims import shape_of
from outpace.errors import DraftError
from outpace.model import Contract, Scalar

MOST_ACTIONS = 100_000
"""Actions and rounds of loops in one call; more belong into a loop inside a kernel."""
MOST_BYTES = 2**38
"""Of all buffers together; no card has as much."""


class Buffer(Value, frozen=True):
    """Scratch memory to allocate."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class ArrayArgument(Value, frozen=True):
    """The address of memory."""

    name: str


class ScalarArgument(Value, frozen=True):
    """The value of a scalar argument of the reference, passed by its C type."""

    name: str


class Launch(Value, frozen=True):
    """A kernel launch; grid and block have three entries, x first, each at least 1.

    Attributes:
        kernel: As the plan names it.
        grid: Blocks.
        block: Threads.
        shared: Bytes of dynamic shared memory.
        arguments: Addresses, scalar arguments, and integers, which are passed as `int64_t`.
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    arguments: tuple[ArrayArgument | ScalarArgument | int, ...]


class Fill(Value, frozen=True):
    """Set every element of this memory."""

    array: str
    value: float | int


class Copy(Value, frozen=True):
    """Copy all of some memory to other memory of the same dtype and shape."""

    source: str
    target: str


Action = Launch | Fill | Copy
"""One thing that trusted code does."""


class Resolved(Value, frozen=True):
    """What one call does at one size.

    Attributes:
        buffers: To allocate, besides the arguments and outputs of the contract.
        actions: In order; each waits for the one before it.
    """

    buffers: tuple[Buffer, ...]
    actions: tuple[Action, ...]

    @property
    def launches(self) -> tuple[Launch, ...]:
        """The launches among the actions."""
        return tuple(action for action in self.actions if isinstance(action, Launch))


class Declared(Value, frozen=True):
    """What a draft says of a call: bytes moved and operations, None where it does not."""

    moved: int | None
    operations: int | None


def resolve(
    plan: LaunchPlan,
    sizes: Mapping[str, int],
    params: Mapping[str, Scalar],
    contract: Contract,
) -> Resolved:
    """What a plan does at these sizes.

    Args:
        plan: Of a draft for this contract.
        sizes: Every dim and every int argument, as `outpace.codegen.abi.bind_sizes` gives them.
        params: The bound parameters of the draft; expressions see integers and booleans.
        contract: Of the reference.

    Raises:
        DraftError: A name is unknown or has two meanings, a number is out of its limits, or the
            arrays of a step do not fit together; the message begins with the place in the plan.
    """
    names = check_plan(plan, contract, params)
    binding = _binding(plan, names, sizes, params)
    buffers = tuple(
        Buffer(b.name, b.dtype, _shape(b.shape, binding, f"buffers[{i}].shape"))
        for i, b in enumerate(plan.buffers)
    )
    if sum(np.dtype(b.dtype).itemsize * prod(b.shape) for b in buffers) > MOST_BYTES:
        raise DraftError(f"buffers: they need more than {MOST_BYTES >> 30} GiB")
    shapes = {b.name: b.shape for b in buffers}
    for slot in slots(contract):
        if slot.role is not Role.SCALAR:
            shapes[slot.name] = shape_of(slot.dims, sizes)
    running = _Running(names, binding, shapes)
    running.take(plan.steps, "steps")
    running.settle()
    return Resolved(buffers, tuple(running.actions))


@dataclass
class _Running:
    """A plan on its way through its steps.

    Attributes:
        names: What every name means.
        binding: Values of the names that expressions may use.
        shapes: Of all arrays.
        memory: The memory that each array has now.
        actions: So far.
        rounds: Of loops, so far.
    """

    names: Names
    binding: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    memory: dict[str, str] = field(init=False)
    actions: list[Action] = field(default_factory=list)
    rounds: int = 0
    _indices: set[str] = field(default_factory=set)
    _names_used: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _launches: dict[tuple[str, tuple[int, ...]], Launch] = field(default_factory=dict)
    """Computed launches by place and by the loop indices that they depend on."""

    def __post_init__(self) -> None:
        self.memory = {name: name for name in self.shapes}

    def take(self, steps: tuple[Step, ...], where: str) -> None:
        """All steps of one list."""
        for i, step in enumerate(steps):
            self._take_one(step, f"{where}[{i}]")

    def settle(self) -> None:
        """Copies that bring results home, each before its target is needed as a source.

        Where results only wait for each other, one moves to memory that no result is in. There is
        some: every swap has a buffer on one side.
        """
        away = {name: self.memory[name] for name in self.names.results if self.memory[name] != name}
        while away:
            free = [name for name in away if name not in away.values()]
            if free:
                self._add(Copy(away.pop(free[0]), free[0]))
                continue
            name = next(iter(away))
            spare = next(b for b in self._spare(name) if b not in away.values())
            self._add(Copy(away[name], spare))
            away[name] = spare

    def _spare(self, name: str) -> Iterator[str]:
        """Buffers as large as an array."""
        kind = self.names.dtypes[name], self.shapes[name]
        return (b for b in self.names.buffers if (self.names.dtypes[b], self.shapes[b]) == kind)

    def _take_one(self, step: Step, where: str) -> None:
        match step:
            case LaunchStep():
                self._launch(step, where)
            case FillStep(array=array, value=value):
                self._add(Fill(self.memory[array], value))
            case CopyStep(source=source, target=target):
                self._check_alike(source, target, where)
                self._add(Copy(self.memory[source], self.memory[target]))
            case SwapStep(first=first, second=second):
                self._check_alike(first, second, where)
                memory = self.memory
                memory[first], memory[second] = memory[second], memory[first]
            case RepeatStep():
                self._repeat(step, where)
            case WhenStep(condition=condition, steps=steps):
                if _holds(condition, self.binding, f"{where}.when"):
                    self.take(steps, f"{where}.steps")

    def _launch(self, step: LaunchStep, where: str) -> None:
        used = self._used(step, where)
        key = where, tuple(self.binding[name] for name in used)
        if key not in self._launches:
            self._launches[key] = self._computed(step, where)
        launch = self._launches[key]
        if 0 in launch.grid:
            return
        # The memory of an array may have changed hands since.
        arguments = tuple(
            ArrayArgument(self.memory[a.name]) if isinstance(a, ArrayArgument) else a
            for a in launch.arguments
        )
        self._add(Launch(step.kernel, launch.grid, launch.block, launch.shared, arguments))

    def _used(self, step: LaunchStep, where: str) -> tuple[str, ...]:
        """Loop indices on which the numbers of a launch depend; mostly none."""
        if where not in self._names_used:
            texts = (*step.grid, *step.block, step.shared, *step.arguments)
            named = (name for text in texts for name in parse_integer(text).names)
            used = tuple(dict.fromkeys(name for name in named if name in self._indices))
            self._names_used[where] = used
        return self._names_used[where]

    def _computed(self, step: LaunchStep, where: str) -> Launch:
        """A launch with its numbers, and arrays by their own names."""
        grid = _triple(step.grid, self.binding, f"{where}.grid")
        block = _triple(step.block, self.binding, f"{where}.block")
        shared = _number(step.shared, self.binding, f"{where}.shared")
        check_launch(grid, block, shared, where)
        arguments = tuple(
            self._argument(text, f"{where}.arguments[{i}]") for i, text in enumerate(step.arguments)
        )
        return Launch(step.kernel, grid, block, shared, arguments)

    def _argument(self, text: str, where: str) -> ArrayArgument | ScalarArgument | int:
        if text in self.memory:
            return ArrayArgument(text)
        if text in self.names.scalars:
            return ScalarArgument(text)
        return _number(text, self.binding, where)

    def _repeat(self, step: RepeatStep, where: str) -> None:
        first, end, by = (
            _number(text, self.binding, f"{where}.range[{i}]")
            for i, text in enumerate((step.first, step.end, step.step))
        )
        if by == 0:
            raise DraftError(f"{where}.range[2]: {step.step!r} is 0")
        self._indices.add(step.index)
        for index in range(first, end, by):
            self.rounds += 1
            self._check_length()
            self.binding[step.index] = index
            self.take(step.steps, f"{where}.steps")
        self.binding.pop(step.index, None)
        self._indices.discard(step.index)

    def _check_alike(self, first: str, second: str, where: str) -> None:
        if self.shapes[first] != self.shapes[second]:
            raise DraftError(
                f"{where}: {first} has shape {self.shapes[first]}, {second} {self.shapes[second]}; "
                "they must be alike"
            )

    def _add(self, action: Action) -> None:
        self.actions.append(action)
        self._check_length()

    def _check_length(self) -> None:
        if len(self.actions) + self.rounds > MOST_ACTIONS:
            raise DraftError(
                f"steps: they come to more than {MOST_ACTIONS} actions; move a loop into a kernel"
            )


def declared(
    plan: LaunchPlan, sizes: Mapping[str, int], params: Mapping[str, Scalar], contract: Contract
) -> Declared | None:
    """What a draft says of its work at these sizes; None where it says nothing.

    Arguments as of `resolve`.

    Raises:
        DraftError: As `resolve`; or what it says cannot be computed, or is negative.
    """
    if plan.model is None:
        return None
    binding = _binding(plan, check_plan(plan, contract, params), sizes, params)
    return Declared(
        _amount(plan.model.moved, binding, "model.bytes"),
        _amount(plan.model.operations, binding, "model.operations"),
    )


def _amount(text: str | None, binding: Mapping[str, int], where: str) -> int | None:
    amount = None if text is None else _number(text, binding, where)
    if amount is not None and amount < 0:
        raise DraftError(f"{where}: {text!r} is {amount}, which is negative")
    return amount


def _binding(
    plan: LaunchPlan, names: Names, sizes: Mapping[str, int], params: Mapping[str, Scalar]
) -> dict[str, int]:
    """Values of all names that expressions see everywhere."""
    binding = {**sizes, **{name: int(params[name]) for name in names.integer_parameters}}
    for name, text in plan.let.items():
        binding[name] = _number(text, binding, f"let.{name}")
    return binding


def _number(text: str, binding: Mapping[str, int], where: str) -> int:
    try:
        return parse_integer(text).value(binding)
    except DraftError as error:
        raise DraftError(f"{where}: {error}") from error


def _holds(text: str, binding: Mapping[str, int], where: str) -> bool:
    try:
        return bool(parse_condition(text).value(binding))
    except DraftError as error:
        raise DraftError(f"{where}: {error}") from error


def _shape(texts: tuple[str, ...], binding: Mapping[str, int], where: str) -> tuple[int, ...]:
    shape = tuple(_number(text, binding, f"{where}[{i}]") for i, text in enumerate(texts))
    if any(extent < 0 for extent in shape):
        raise DraftError(f"{where}: {shape} has a negative extent")
    return shape


def _triple(texts: tuple[str, ...], binding: Mapping[str, int], where: str) -> tuple[int, int, int]:
    x, y, z = (*(_number(t, binding, f"{where}[{i}]") for i, t in enumerate(texts)), 1, 1)[:3]
    return x, y, z
