"""What the names in a launch plan mean, checked for all sizes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from outpace.codegen.abi import Role, slots
from outpace.codegen.cuda.expressions import IntegerExpression, parse_condition, parse_integer
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
from outpace.errors import DraftError
from outpace.model import Contract, Scalar


@dataclass(frozen=True)
class Names:
    """The names that a plan may use, by what they stand for.

    Attributes:
        dtypes: Of every array: inputs, outputs and buffers.
        read_only: Inputs that are not mutated.
        results: Mutated inputs, then outputs.
        buffers: In the plan's order.
        scalars: Dtypes of scalar arguments.
        integers: What expressions see everywhere: dims, int arguments, parameters, lets.
        integer_parameters: Parameters that are integers or booleans.
    """

    dtypes: dict[str, str]
    read_only: frozenset[str]
    results: tuple[str, ...]
    buffers: tuple[str, ...]
    scalars: dict[str, str]
    integers: frozenset[str]
    integer_parameters: tuple[str, ...]


def check_plan(plan: LaunchPlan, contract: Contract, params: Mapping[str, Scalar]) -> Names:
    """Check every name in a plan, also in steps that some sizes do not reach.

    Raises:
        DraftError: One is unknown, has two meanings, or is used as what it is not; the message
            begins with the place in the plan.
    """
    names = _names(plan, contract, params)
    known = set(names.integers) - plan.let.keys()
    for name, text in plan.let.items():
        _check_expression(parse_integer(text), known, f"let.{name}")
        known.add(name)
    for i, buffer in enumerate(plan.buffers):
        for axis, text in enumerate(buffer.shape):
            _check_expression(parse_integer(text), known, f"buffers[{i}].shape[{axis}]")
    if plan.model is not None:
        for key, told in (("bytes", plan.model.moved), ("operations", plan.model.operations)):
            if told is not None:
                _check_expression(parse_integer(told), known, f"model.{key}")
    _check_steps(plan.steps, names, frozenset(known), "steps")
    return names


def _names(plan: LaunchPlan, contract: Contract, params: Mapping[str, Scalar]) -> Names:
    listed = slots(contract)
    arrays = {slot.name: slot for slot in listed if slot.role is not Role.SCALAR}
    scalars = {slot.name: slot.dtype for slot in listed if slot.role is Role.SCALAR}
    given = {**dict.fromkeys(contract.dims, "a dim"), **dict.fromkeys(scalars, "a scalar argument")}
    given |= dict.fromkeys(arrays, "an array of the contract")
    new = [(name, "a parameter", f"parameter {name!r}") for name in params]
    new += [(name, "a let", f"let.{name}") for name in plan.let]
    new += [(b.name, "a buffer", f"buffers[{i}].name") for i, b in enumerate(plan.buffers)]
    for name, kind, where in new:
        if name in given:
            raise DraftError(f"{where}: {name!r} is {given[name]} already; choose another name")
        given[name] = kind
    integers = {name for name, dtype in scalars.items() if np.dtype(dtype).kind in "iu"}
    # Floats and text reach the source as macros, but count nothing.
    countable = tuple(name for name, value in params.items() if isinstance(value, int))
    return Names(
        {name: slot.dtype for name, slot in arrays.items()}
        | {b.name: b.dtype for b in plan.buffers},
        frozenset(name for name, slot in arrays.items() if slot.role is Role.INPUT),
        tuple(name for name, slot in arrays.items() if slot.role is not Role.INPUT),
        tuple(b.name for b in plan.buffers),
        scalars,
        frozenset({*contract.dims, *integers, *countable, *plan.let}),
        countable,
    )


def _check_steps(steps: tuple[Step, ...], names: Names, known: frozenset[str], where: str) -> None:
    for i, step in enumerate(steps):
        _check_step(step, names, known, f"{where}[{i}]")


def _check_step(step: Step, names: Names, known: frozenset[str], where: str) -> None:
    match step:
        case LaunchStep():
            for place, text in _expressions(step, names):
                _check_expression(parse_integer(text), known, f"{where}.{place}")
        case FillStep():
            _check_writable(step.array, names, f"{where}.fill")
            _check_value(step, names, where)
        case CopyStep():
            _check_array(step.source, names, f"{where}.copy[0]")
            _check_writable(step.target, names, f"{where}.copy[1]")
            _check_alike(step.source, step.target, names, where)
        case SwapStep():
            _check_swap(step, names, where)
        case RepeatStep():
            _check_repeat(step, names, known, where)
        case WhenStep():
            _check_expression(parse_condition(step.condition), known, f"{where}.when")
            _check_steps(step.steps, names, known, f"{where}.steps")


def _check_swap(step: SwapStep, names: Names, where: str) -> None:
    _check_writable(step.first, names, f"{where}.swap[0]")
    _check_writable(step.second, names, f"{where}.swap[1]")
    _check_alike(step.first, step.second, names, where)
    if not {step.first, step.second} & set(names.buffers):
        raise DraftError(f"{where}.swap: one of {step.first} and {step.second} must be a buffer")


def _check_repeat(step: RepeatStep, names: Names, known: frozenset[str], where: str) -> None:
    for i, text in enumerate((step.first, step.end, step.step)):
        _check_expression(parse_integer(text), known, f"{where}.range[{i}]")
    if step.index in known or step.index in names.dtypes or step.index in names.scalars:
        raise DraftError(f"{where}.repeat: {step.index!r} has a meaning already; choose another")
    _check_steps(step.steps, names, known | {step.index}, f"{where}.steps")


def _expressions(step: LaunchStep, names: Names) -> Iterator[tuple[str, str]]:
    """What is computed for a launch: all but arguments that name an array or a scalar."""
    for part, texts in (("grid", step.grid), ("block", step.block)):
        yield from ((f"{part}[{i}]", text) for i, text in enumerate(texts))
    yield "shared", step.shared
    for i, text in enumerate(step.arguments):
        if text not in names.dtypes and text not in names.scalars:
            yield f"arguments[{i}]", text


def _check_expression(
    expression: IntegerExpression, known: set[str] | frozenset[str], where: str
) -> None:
    for name in expression.names:
        if name not in known:
            raise DraftError(
                f"{where}: {expression.text!r} uses {name!r}, which is no integer known here; "
                f"there are {', '.join(sorted(known)) or 'none'}"
            )


def _check_array(name: str, names: Names, where: str) -> None:
    if name not in names.dtypes:
        raise DraftError(f"{where}: {name!r} is no array; there are {', '.join(names.dtypes)}")


def _check_writable(name: str, names: Names, where: str) -> None:
    _check_array(name, names, where)
    if name in names.read_only:
        raise DraftError(f"{where}: {name!r} is an input that is only read; use a buffer")


def _check_alike(first: str, second: str, names: Names, where: str) -> None:
    kinds = names.dtypes[first], names.dtypes[second]
    if kinds[0] != kinds[1]:
        raise DraftError(f"{where}: {first} holds {kinds[0]}, {second} {kinds[1]}; they must agree")


def _check_value(step: FillStep, names: Names, where: str) -> None:
    dtype = np.dtype(names.dtypes[step.array])
    if dtype.kind in "fc":
        return
    bounds = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not isinstance(step.value, int) or not bounds[0] <= step.value <= bounds[1]:
        raise DraftError(f"{where}.value: {step.value!r} is no {dtype.name}")
