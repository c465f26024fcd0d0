"""Build a `Contract` from the annotations and options of a reference."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from outpace.codegen.dims import parse_dim, shape_of, split_dims
from outpace.codegen.domain import free_names, holds, reduction_length
from outpace.codegen.splitting import read_reduce, read_split, refuse_uncuttable
from outpace.errors import ContractError
from outpace.model import Argument, Contract, Output, Tolerance, Workload
from outpace.split import Reduced, Split

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
    split: Mapping[str, Split] | None = None,
    steps: str | None = None,
    reduce: Mapping[str, Reduced] | None = None,
) -> Contract:
    """Read a function's annotations and options.

    Raises:
        ContractError: Something is missing or contradicts; the message says what to write.
    """
    hints = hints_of(fn)
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
        tolerance=_tolerance(tolerance),
        reproducible=reproducible,
        split=read_split(split, dims),
        steps=steps,
        reduce=read_reduce(reduce, outputs),
    )
    _refuse_contradictions(fn, contract)
    return contract


def size_names(contract: Contract) -> tuple[str, ...]:
    """Everything that a workload must give: the free dims, then the int arguments."""
    return (*contract.dims, *_int_names(contract.arguments))


def hints_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """The evaluated annotations of a function or class.

    Raises:
        ContractError: They cannot be evaluated.
    """
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except Exception as error:
        raise ContractError(
            f"the annotations of {fn.__name__} cannot be evaluated: {error}; import what they use "
            f"at the top of the file, not under TYPE_CHECKING, and write {_EXAMPLE}"
        ) from error


def _arguments(
    fn: Callable[..., Any], hints: Mapping[str, Any], mutates: Sequence[str]
) -> tuple[Argument, ...]:
    if isinstance(mutates, str):
        raise ContractError(f'mutates is a tuple of names; write mutates=("{mutates}",)')
    arguments: list[Argument] = []
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ContractError(f"{fn.__name__}: `{parameter}` is not supported; name each one")
        if parameter.name not in hints:
            if not arguments and parameter.name in ("self", "cls"):
                raise ContractError(
                    f"{fn.__qualname__} is a method; move the computation into a function that "
                    "takes arrays and numbers, and call that from the method"
                )
            raise ContractError(
                f"argument {parameter.name!r} of {fn.__name__} has no annotation; write {_EXAMPLE}"
            )
        dtype, dims = parse_annotation(fn, parameter.name, hints[parameter.name])
        mutated = parameter.name in mutates
        if mutated and dims is None:
            raise ContractError(f"mutates names {parameter.name!r}, which is a scalar")
        arguments.append(Argument(parameter.name, dtype, dims, mutated))
    unknown = set(mutates) - {a.name for a in arguments}
    if unknown:
        raise ContractError(f"mutates names {sorted(unknown)}, which {fn.__name__} does not take")
    return tuple(arguments)


def parse_annotation(
    fn: Callable[..., Any], name: str, hint: Any
) -> tuple[str, tuple[str, ...] | None]:
    """Dtype and dims of one annotation; dims are None for a scalar.

    Args:
        fn: Where it is written, for a message.
        name: Of the argument, for a message.
        hint: The annotation, evaluated.

    Raises:
        ContractError: It is no array of one supported dtype, and no scalar.
    """
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
    is_tuple = typing.get_origin(hint) is tuple
    parts = typing.get_args(hint) if is_tuple else (hint,)
    if parts in ((), (type(None),)):
        if not any(a.mutated for a in arguments):
            raise ContractError(
                f"{fn.__name__} returns None and mutates nothing; declare mutates=(...)"
            )
        return ()
    taken = {a.name for a in arguments} | set(_names_in_dims(arguments))
    outputs = []
    for i, part in enumerate(parts):
        name = f"out{i}" if is_tuple else "out"
        while name in taken:
            name += "_"
        dtype, dims = parse_annotation(fn, "return", part)
        outputs.append(Output(name, dtype, dims if dims is not None else ("1",), dims is None))
    return tuple(outputs)


def _free_dims(arguments: Sequence[Argument], outputs: Sequence[Output]) -> tuple[str, ...]:
    """Dim names in order of first appearance, without int arguments."""
    ints = _int_names(arguments)
    names = tuple(n for n in _names_in_dims((*arguments, *outputs)) if n not in ints)
    for argument in arguments:
        if argument.name in names:
            raise ContractError(
                f"the dim {argument.name!r} is also an argument; only an int argument can be a "
                "dim, so rename one of them or annotate the argument as int"
            )
    return names


def _names_in_dims(parts: Sequence[Argument | Output]) -> tuple[str, ...]:
    names = (n for part in parts for dim in part.dims or () for n in parse_dim(dim).names)
    return tuple(dict.fromkeys(names))


def _int_names(arguments: Sequence[Argument]) -> list[str]:
    return [a.name for a in arguments if not a.is_array and np.dtype(a.dtype).kind in "iu"]


def _workloads(
    fn: Callable[..., Any],
    workloads: Mapping[str, Mapping[str, float]],
    arguments: Sequence[Argument],
    dims: Sequence[str],
) -> tuple[Workload, ...]:
    ints = _int_names(arguments)
    scalars = [a.name for a in arguments if not a.is_array and a.name not in ints]
    needed = [*dims, *ints]
    if not workloads:
        example = ", ".join(f"{name}=256" for name in needed)
        raise ContractError(
            f'{fn.__name__} has no workload; write workloads={{"small": dict({example})}}'
        )
    found = []
    for name, values in workloads.items():
        if not isinstance(name, str) or not isinstance(values, Mapping):
            raise ContractError(
                f"workloads of {fn.__name__} maps a name to sizes, as in "
                f'{{"small": {{...}}}}; it holds {name!r}: {values!r}'
            )
        missing = [n for n in needed if n not in values]
        extra = [n for n in values if n not in needed and n not in scalars]
        if missing:
            raise ContractError(f"workload {name!r} of {fn.__name__} gives no size for {missing}")
        if extra:
            raise ContractError(
                f"workload {name!r} of {fn.__name__} names {extra}; "
                f"it may name the sizes {needed} and the scalars {scalars}"
            )
        where = f"workload {name!r} of {fn.__name__}"
        sizes = {n: _as_int(where, n, values[n]) for n in needed}
        fixed = {n: _as_real(where, n, values[n]) for n in scalars if n in values}
        found.append(Workload(name, sizes, fixed))
    return tuple(found)


def _as_int(where: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ContractError(f"{where}: {name}={value!r} is not an integer")
    return int(value)


def _as_real(where: str, name: str, value: Any) -> float:
    if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        raise ContractError(f"{where}: {name}={value!r} is not a real number")
    return float(value)


def _tolerance(given: float | Tolerance | None) -> Tolerance | None:
    if given is None:
        return None
    tolerance = given if isinstance(given, Tolerance) else Tolerance(rtol=float(given))
    bounds = (tolerance.rtol, tolerance.atol)
    if isinstance(given, bool) or not all(0 <= bound < math.inf for bound in bounds):
        raise ContractError(f"tolerance={given!r} is no finite number of at least 0")
    return tolerance


def _refuse_contradictions(fn: Callable[..., Any], contract: Contract) -> None:
    refuse_uncuttable(contract)
    _refuse_undetermined_dims(fn, contract)
    names = size_names(contract)
    if contract.where is not None:
        used = set(free_names(contract.where))
        if used & ({a.name for a in contract.arguments} - set(names)) or not used & set(names):
            raise ContractError(
                f"{fn.__name__}: where={contract.where!r} must be about sizes, which are "
                f"{', '.join(names)}"
            )
    if contract.reduction is not None:
        unknown = set(free_names(contract.reduction)) - set(names)
        if unknown:
            raise ContractError(
                f"{fn.__name__}: reduction={contract.reduction!r} names {sorted(unknown)}; "
                f"the sizes are {', '.join(names)}"
            )
    for workload in contract.workloads:
        for part in contract.parts:
            shape_of(part.dims or (), workload.sizes)
        if contract.where is not None and not holds(contract.where, workload.sizes):
            raise ContractError(
                f"workload {workload.name!r} of {fn.__name__}, {workload.sizes}, does not satisfy "
                f"where={contract.where!r}"
            )
        reduction_length(contract, workload.sizes)


def _refuse_undetermined_dims(fn: Callable[..., Any], contract: Contract) -> None:
    """Every dim must follow from the shapes and int arguments of a call, one equation at a time."""
    known = set(_int_names(contract.arguments))
    pending = [set(parse_dim(d).names) for a in contract.arguments for d in a.dims or ()]
    while ready := [names for names in pending if len(names - known) == 1]:
        known.update(*ready)
    for part in contract.parts:
        for dim in part.dims or ():
            missing = set(parse_dim(dim).names) - known
            if missing:
                raise ContractError(
                    f"{fn.__name__}: the dim {dim!r} of {part.name!r} names {sorted(missing)}, "
                    "which cannot be determined from the shapes of the arguments; use each name "
                    "alone on one axis of an argument, or make it an int argument"
                )
