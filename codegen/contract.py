"""Build a `Contract` from the annotations and options of a reference."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from outpace.codegen.dims import parse_dim, split_dims
from outpace.codegen.domain import free_names
from outpace.errors import ContractError
from outpace.model import Argument, Block, Contract, Output, Tolerance, Workload

SUPPORTED_DTYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float32",
    "float64",
    "complex64",
    "complex128",
)
_SCALARS: dict[type, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    complex: "complex128",
    **{np.dtype(name).type: name for name in SUPPORTED_DTYPES},
}
_EXAMPLE = (
    '`u: Float64[np.ndarray, "y x"]` for an array (`from jaxtyping import Float64`), '
    "`steps: int` or `dt: float` for a scalar"
)


def build_contract(
    fn: Callable[..., Any],
    *,
    workloads: Mapping[str, Mapping[str, float]],
    mutates: Sequence[str] = (),
    where: str | None = None,
    reduction: str | None = None,
    tolerance: float | Tolerance | None = None,
    reproducible: bool = False,
    split: Mapping[str, Block] | None = None,
) -> Contract:
    """Read a function's annotations and options.

    Raises:
        ContractError: Something is missing or contradicts; the message says what to write.
    """
    hints = _hints(fn)
    arguments = _arguments(fn, hints, mutates)
    outputs = _outputs(fn, hints, arguments)
    dims = _free_dims(arguments, outputs)
    contract = Contract(
        arguments=arguments,
        outputs=outputs,
        dims=dims,
        workloads=_workloads(fn, workloads, arguments, dims),
        where=where,
        reduction=reduction,
        tolerance=Tolerance(rtol=tolerance) if isinstance(tolerance, float | int) else tolerance,
        reproducible=reproducible,
        split=dict(split or {}),
    )
    _refuse_contradictions(fn, contract)
    return contract


def size_names(contract: Contract) -> tuple[str, ...]:
    """Everything that a workload must give: the free dims, then the int arguments."""
    ints = tuple(
        a.name for a in contract.arguments if not a.is_array and np.dtype(a.dtype).kind in "iu"
    )
    return (*contract.dims, *ints)


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except Exception as error:
        raise ContractError(
            f"the annotations of {fn.__name__} cannot be evaluated: {error}; write {_EXAMPLE}"
        ) from error


def _arguments(
    fn: Callable[..., Any], hints: Mapping[str, Any], mutates: Sequence[str]
) -> tuple[Argument, ...]:
    arguments = []
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ContractError(f"{fn.__name__}: `{parameter}` is not supported; name each one")
        if parameter.name not in hints:
            raise ContractError(
                f"argument {parameter.name!r} of {fn.__name__} has no annotation; write {_EXAMPLE}"
            )
        dtype, dims = _parse_annotation(fn, parameter.name, hints[parameter.name])
        mutated = parameter.name in mutates
        if mutated and dims is None:
            raise ContractError(f"mutates names {parameter.name!r}, which is a scalar")
        arguments.append(Argument(parameter.name, dtype, dims, mutated))
    unknown = set(mutates) - {a.name for a in arguments}
    if unknown:
        raise ContractError(f"mutates names {sorted(unknown)}, which {fn.__name__} does not take")
    return tuple(arguments)


def _parse_annotation(
    fn: Callable[..., Any], name: str, hint: Any
) -> tuple[str, tuple[str, ...] | None]:
    """Dtype and dims of one annotation; dims are None for a scalar."""
    if isinstance(hint, type) and hint in _SCALARS:
        return _SCALARS[hint], None
    dtypes, dim_text = getattr(hint, "dtypes", None), getattr(hint, "dim_str", None)
    if dim_text is None:
        raise ContractError(
            f"{fn.__name__}: the annotation of {name!r}, {hint!r}, is neither a jaxtyping array "
            f"nor a scalar; write {_EXAMPLE}"
        )
    known = [d for d in dtypes or () if d in SUPPORTED_DTYPES] if _is_listing(dtypes) else []
    if len(known) != 1:
        raise ContractError(
            f"{fn.__name__}: the annotation of {name!r} does not name one supported dtype; "
            f"write for example Float64 or Float32 (supported: {', '.join(SUPPORTED_DTYPES)})"
        )
    dims = split_dims(dim_text)
    for dim in dims:
        parse_dim(dim)
    return known[0], dims


def _is_listing(dtypes: Any) -> bool:
    return isinstance(dtypes, list | tuple) and all(isinstance(d, str) for d in dtypes)


def _outputs(
    fn: Callable[..., Any], hints: Mapping[str, Any], arguments: Sequence[Argument]
) -> tuple[Output, ...]:
    if "return" not in hints:
        raise ContractError(
            f"{fn.__name__} has no return annotation; write "
            '`-> Float64[np.ndarray, "y x"]`, a tuple of those, or `-> None` with mutates='
        )
    hint = hints["return"]
    if hint is type(None) or hint is None:
        if not any(a.mutated for a in arguments):
            raise ContractError(
                f"{fn.__name__} returns None and mutates nothing; declare mutates=(...)"
            )
        return ()
    is_tuple = typing.get_origin(hint) is tuple
    parts = typing.get_args(hint) if is_tuple else (hint,)
    taken = {a.name for a in arguments}
    outputs = []
    for i, part in enumerate(parts):
        name = f"out{i}" if is_tuple else "out"
        while name in taken:
            name += "_"
        dtype, dims = _parse_annotation(fn, "return", part)
        outputs.append(Output(name, dtype, dims if dims is not None else ("1",), dims is None))
    return tuple(outputs)


def _free_dims(arguments: Sequence[Argument], outputs: Sequence[Output]) -> tuple[str, ...]:
    """Dim names in order of first appearance, without int arguments."""
    scalars = {a.name for a in arguments if not a.is_array}
    names: dict[str, None] = {}
    parts: tuple[Argument | Output, ...] = (*arguments, *outputs)
    for part in parts:
        for dim in part.dims or ():
            names.update(dict.fromkeys(parse_dim(dim).names))
    return tuple(name for name in names if name not in scalars)


def _workloads(
    fn: Callable[..., Any],
    workloads: Mapping[str, Mapping[str, float]],
    arguments: Sequence[Argument],
    dims: Sequence[str],
) -> tuple[Workload, ...]:
    ints = [a.name for a in arguments if not a.is_array and np.dtype(a.dtype).kind in "iu"]
    floats = [a.name for a in arguments if not a.is_array and a.name not in ints]
    needed = [*dims, *ints]
    if not workloads:
        example = ", ".join(f"{name}=256" for name in needed)
        raise ContractError(
            f'{fn.__name__} has no workload; write workloads={{"small": dict({example})}}'
        )
    found = []
    for name, values in workloads.items():
        missing = [n for n in needed if n not in values]
        extra = [n for n in values if n not in needed and n not in floats]
        if missing:
            raise ContractError(f"workload {name!r} of {fn.__name__} gives no size for {missing}")
        if extra:
            raise ContractError(
                f"workload {name!r} of {fn.__name__} names {extra}; "
                f"it may name the sizes {needed} and the scalars {floats}"
            )
        sizes = {n: _as_int(fn, name, n, values[n]) for n in needed}
        found.append(Workload(name, sizes, {n: float(values[n]) for n in floats if n in values}))
    return tuple(found)


def _as_int(fn: Callable[..., Any], workload: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ContractError(
            f"workload {workload!r} of {fn.__name__}: {name}={value!r} is not an integer"
        )
    return int(value)


def _refuse_contradictions(fn: Callable[..., Any], contract: Contract) -> None:
    names = set(size_names(contract))
    unknown = set(contract.split) - set(contract.dims)
    if unknown:
        raise ContractError(f"split names {sorted(unknown)}; the dims are {list(contract.dims)}")
    for part in contract.outputs:
        for dim in part.dims:
            missing = set(parse_dim(dim).names) - names
            if missing:
                raise ContractError(
                    f"{fn.__name__}: the output dim {dim!r} names {sorted(missing)}, which no "
                    "array dim and no int argument defines"
                )
    for option in (contract.where, contract.reduction):
        if option is not None:
            free_names(option)
