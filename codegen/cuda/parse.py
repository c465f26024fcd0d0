"""Reading a launch plan from JSON, and writing it; docs/launch-plan.schema.json says the same.

An error names the place: `steps[2].grid[0]: ...`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.cuda.expressions import RESERVED, parse_condition, parse_integer
from outpace.codegen.cuda.plan import (
    BufferPlan,
    CopyStep,
    FillStep,
    LaunchPlan,
    LaunchStep,
    ModelPlan,
    RepeatStep,
    Step,
    SwapStep,
    WhenStep,
)
from outpace.errors import DraftError

DEEPEST = 16
"""Steps within steps."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KERNEL = re.compile(r"[A-Za-z_]\w*(::[A-Za-z_]\w*)*(<[\w ,:<>+*/%()-]*>)?", re.ASCII)


def parse_plan(given: Any) -> LaunchPlan:
    """A plan from decoded JSON.

    Raises:
        DraftError: It is malformed; the message begins with the place in the plan.
    """
    plan = _object(given, "plan", required=("steps",), optional=("let", "buffers", "model"))
    let = plan.get("let", {})
    if not isinstance(let, dict):
        raise DraftError("let: must be an object of names and expressions")
    lets = {_name(name, f"let.{name}"): _integer(let[name], f"let.{name}") for name in let}
    buffers = tuple(
        _buffer(item, f"buffers[{i}]")
        for i, item in enumerate(_list(plan.get("buffers", []), "buffers"))
    )
    model = _model(plan["model"]) if "model" in plan else None
    return LaunchPlan(lets, buffers, _steps(plan["steps"], "steps", 0), model)


def write_plan(plan: LaunchPlan) -> dict[str, Any]:
    """JSON that `parse_plan` reads back; expressions that are integers are written as integers."""
    written: dict[str, Any] = {}
    if plan.let:
        written["let"] = {name: _literal(text) for name, text in plan.let.items()}
    if plan.buffers:
        written["buffers"] = [
            {"name": b.name, "dtype": b.dtype, "shape": [_literal(text) for text in b.shape]}
            for b in plan.buffers
        ]
    written["steps"] = [_written(step) for step in plan.steps]
    if plan.model is not None:
        told = {"bytes": plan.model.moved, "operations": plan.model.operations}
        written["model"] = {key: _literal(text) for key, text in told.items() if text is not None}
    return written


# --- Steps --------------------------------------------------------------------------------------


def _steps(given: Any, where: str, depth: int) -> tuple[Step, ...]:
    if depth > DEEPEST:
        raise DraftError(f"{where}: steps are nested more than {DEEPEST} deep")
    return tuple(_step(item, f"{where}[{i}]", depth) for i, item in enumerate(_list(given, where)))


def _step(given: Any, where: str, depth: int) -> Step:
    if not isinstance(given, dict):
        raise DraftError(f"{where}: must be an object, not {_shown(given)}")
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        raise DraftError(f"{where}: needs exactly one of {', '.join(_KINDS)}, not {sorted(given)}")
    return _KINDS[kinds[0]](given, where, depth)


def _launch(given: dict[str, Any], where: str, depth: int) -> LaunchStep:  # noqa: ARG001
    _object(given, where, required=("launch", "grid", "block"), optional=("shared", "arguments"))
    kernel = given["launch"]
    if not isinstance(kernel, str) or not _KERNEL.fullmatch(kernel):
        raise DraftError(
            f"{where}.launch: {_shown(kernel)} is no name of a kernel, such as `step` or "
            "`step<32, true>`"
        )
    arguments = _list(given.get("arguments", []), f"{where}.arguments")
    return LaunchStep(
        kernel,
        _extents(given["grid"], f"{where}.grid"),
        _extents(given["block"], f"{where}.block"),
        _integer(given.get("shared", 0), f"{where}.shared"),
        tuple(_integer(a, f"{where}.arguments[{i}]") for i, a in enumerate(arguments)),
    )


def _fill(given: dict[str, Any], where: str, depth: int) -> FillStep:  # noqa: ARG001
    _object(given, where, required=("fill", "value"))
    value = given["value"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DraftError(f"{where}.value: {_shown(value)} is no number")
    return FillStep(_name(given["fill"], f"{where}.fill"), value)


def _copy(given: dict[str, Any], where: str, depth: int) -> CopyStep:  # noqa: ARG001
    return CopyStep(*_pair(given, where, "copy"))


def _swap(given: dict[str, Any], where: str, depth: int) -> SwapStep:  # noqa: ARG001
    return SwapStep(*_pair(given, where, "swap"))


def _repeat(given: dict[str, Any], where: str, depth: int) -> RepeatStep:
    _object(given, where, required=("repeat", "range", "steps"))
    bounds = _list(given["range"], f"{where}.range")
    if len(bounds) != 3:
        raise DraftError(f"{where}.range: takes [first, end, step], not {_shown(bounds)}")
    first, end, step = (_integer(b, f"{where}.range[{i}]") for i, b in enumerate(bounds))
    index = _name(given["repeat"], f"{where}.repeat")
    return RepeatStep(index, first, end, step, _steps(given["steps"], f"{where}.steps", depth + 1))


def _when(given: dict[str, Any], where: str, depth: int) -> WhenStep:
    _object(given, where, required=("when", "steps"))
    condition = given["when"]
    if not isinstance(condition, str):
        raise DraftError(f"{where}.when: must be a condition in a string, not {_shown(condition)}")
    _located(parse_condition, condition, f"{where}.when")
    return WhenStep(condition, _steps(given["steps"], f"{where}.steps", depth + 1))


_KINDS: Mapping[str, Callable[[dict[str, Any], str, int], Step]] = {
    "launch": _launch,
    "fill": _fill,
    "copy": _copy,
    "swap": _swap,
    "repeat": _repeat,
    "when": _when,
}


def _buffer(given: Any, where: str) -> BufferPlan:
    _object(given, where, required=("name", "dtype", "shape"))
    dtype = given["dtype"]
    if not isinstance(dtype, str) or dtype not in C_TYPES:
        raise DraftError(f"{where}.dtype: {_shown(dtype)} is not one of {', '.join(C_TYPES)}")
    shape = _list(given["shape"], f"{where}.shape")
    extents = tuple(_integer(extent, f"{where}.shape[{i}]") for i, extent in enumerate(shape))
    return BufferPlan(_name(given["name"], f"{where}.name"), dtype, extents)


def _model(given: Any) -> ModelPlan:
    model = _object(given, "model", required=(), optional=("bytes", "operations"))
    if not model:
        raise DraftError("model: is empty; give `bytes`, `operations` or both")
    texts = {key: _integer(model[key], f"model.{key}") for key in model}
    return ModelPlan(texts.get("bytes"), texts.get("operations"))


# --- Parts --------------------------------------------------------------------------------------


def _object(
    given: Any, where: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise DraftError(f"{where}: must be an object, not {_shown(given)}")
    missing = [key for key in required if key not in given]
    unknown = [key for key in given if key not in (*required, *optional)]
    if missing:
        raise DraftError(f"{where}: {missing[0]!r} is missing")
    if unknown:
        known = ", ".join((*required, *optional))
        raise DraftError(f"{where}: the key {unknown[0]!r} is not one of {known}")
    return given


def _list(given: Any, where: str) -> list[Any]:
    if not isinstance(given, list):
        raise DraftError(f"{where}: must be a list, not {_shown(given)}")
    return given


def _extents(given: Any, where: str) -> tuple[str, ...]:
    extents = _list(given, where)
    if not 1 <= len(extents) <= 3:
        raise DraftError(f"{where}: needs one to three expressions, not {len(extents)}")
    return tuple(_integer(extent, f"{where}[{i}]") for i, extent in enumerate(extents))


def _pair(given: dict[str, Any], where: str, key: str) -> tuple[str, str]:
    _object(given, where, required=(key,))
    pair = _list(given[key], f"{where}.{key}")
    if len(pair) != 2 or pair[0] == pair[1]:
        raise DraftError(f"{where}.{key}: needs the names of two arrays, not {_shown(pair)}")
    first, second = (_name(name, f"{where}.{key}[{i}]") for i, name in enumerate(pair))
    return first, second


def _name(given: Any, where: str) -> str:
    if not isinstance(given, str) or not _NAME.fullmatch(given) or given in RESERVED:
        raise DraftError(f"{where}: {_shown(given)} is no name")
    return given


def _integer(given: Any, where: str) -> str:
    """The text of an expression, given as such or as an integer."""
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise DraftError(f"{where}: must be an integer or an expression, not {_shown(given)}")
    text = str(given).strip()
    _located(parse_integer, text, where)
    return text


def _located(parse: Callable[[str], object], text: str, where: str) -> None:
    try:
        parse(text)
    except DraftError as error:
        raise DraftError(f"{where}: {error}") from error


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- Writing ------------------------------------------------------------------------------------


def _written(step: Step) -> dict[str, Any]:
    match step:
        case LaunchStep():
            return dict(_written_launch(step))
        case FillStep(array=array, value=value):
            return {"fill": array, "value": value}
        case CopyStep(source=source, target=target):
            return {"copy": [source, target]}
        case SwapStep(first=first, second=second):
            return {"swap": [first, second]}
        case RepeatStep(index=index, steps=steps):
            bounds = [_literal(text) for text in (step.first, step.end, step.step)]
            return {"repeat": index, "range": bounds, "steps": [_written(s) for s in steps]}
        case WhenStep(condition=condition, steps=steps):
            return {"when": condition, "steps": [_written(s) for s in steps]}


def _written_launch(step: LaunchStep) -> Iterator[tuple[str, Any]]:
    yield "launch", step.kernel
    yield "grid", [_literal(text) for text in step.grid]
    yield "block", [_literal(text) for text in step.block]
    if step.shared != "0":
        yield "shared", _literal(step.shared)
    if step.arguments:
        yield "arguments", [_literal(text) for text in step.arguments]


def _literal(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?(0|[1-9][0-9]*)", text) else text
