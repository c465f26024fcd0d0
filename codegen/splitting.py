"""How the dims of a contract may be cut over ranks: what `split`, `steps` and `reduce` must keep.

- `Block(halo)`: contiguous blocks. One step at cell i of a dim reads cells i - low to i + high.
- `Replicated`: said for clarity; every rank holds the dim whole.
- `Ring`: contiguous blocks, and every result may read all cells of the dim, as bodies that attract
  each other do. Blocks travel from rank to rank.
- `Pencil`: contiguous blocks of one such dim while the others are whole, as in transforms by axes.
  Every array is cut along the first pencil dim that it mentions.

Cell i of a dim `y` is cell i + c // 2 of an axis `y+c`, which therefore carries its surroundings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, permutations
from typing import Any, TypeVar

import msgspec
import numpy as np

from outpace.codegen.dims import Affine, parse_dim
from outpace.codegen.mpi.layout import cut_dims
from outpace.errors import ContractError
from outpace.model import Argument, Contract, Output
from outpace.split import Block, Boundary, Combination, Pencil, Reduced, Replicated, Ring, Split

Part = Argument | Output
"""What is cut: an argument or an output."""
Named = TypeVar("Named", Boundary, Combination)

_MATCHINGS = 24
"""Ways of carrying arrays on that are looked at."""


@dataclass(frozen=True)
class CutAxis:
    """An axis of an array that follows a dim that may be cut.

    Attributes:
        number: Of the axis.
        dim: The dim.
        extra: Cells that the axis has more than the dim.
    """

    number: int
    dim: str
    extra: int

    @property
    def origin(self) -> int:
        """Cell of the axis that is cell 0 of the dim."""
        return self.extra // 2


def cut_axes(contract: Contract, part: Part) -> tuple[CutAxis, ...]:
    """The axes along which an argument or output is cut when all dims that may be are.

    A dim cuts the first axis that mentions it, and the first pencil dim alone counts.
    """
    found: dict[str, CutAxis] = {}
    dims = cut_dims(contract)
    for number, text in enumerate(part.dims or ()):
        affine = parse_dim(text)
        dim = next((name for name in affine.names if name in dims), None)
        if dim is None or dim in found:
            continue
        pencils = [d for d in found if isinstance(contract.split[d], Pencil)]
        if not (pencils and isinstance(contract.split[dim], Pencil)):
            found[dim] = CutAxis(number, dim, affine.constant)
    return tuple(found.values())


def block_dims(contract: Contract) -> dict[str, Block]:
    """The dims that are cut into blocks with a halo."""
    return {d: s for d, s in contract.split.items() if isinstance(s, Block)}


def halo_of(split: Split) -> tuple[int, int]:
    """Cells that one step reads beyond a block on its low and on its high side."""
    if not isinstance(split, Block):
        return 0, 0
    return split.halo if isinstance(split.halo, tuple) else (split.halo, split.halo)


def ghosts(contract: Contract, dim: str, steps: int = 1) -> tuple[int, int]:
    """Cells that a local block of a `Block` dim needs beyond its own, to make so many steps.

    Fewer where an axis such as `y+4` carries them; at a fixed end of the dim there are none.
    """
    low, high = halo_of(contract.split[dim])
    axes = (axis for part in contract.arguments for axis in cut_axes(contract, part))
    extra = max((axis.extra for axis in axes if axis.dim == dim), default=0)
    if extra < low + high:
        extra = 0
    return max(0, steps * low - extra // 2), max(0, steps * high - (extra - extra // 2))


def carried(contract: Contract) -> tuple[dict[str, str], ...]:
    """Ways in which results of some steps can be the inputs of the next, the likeliest first.

    Each maps outputs to arguments of the same dtype and dims; other outputs do not carry on.
    Arguments that are written in place carry on by themselves, so with those the first way is `{}`.
    """
    free = [a for a in contract.arguments if a.is_array and not a.mutated]
    fitting = {
        o.name: [a.name for a in free if (a.dtype, a.dims) == (o.dtype, o.dims)]
        for o in contract.outputs
    }
    outputs = [name for name, arguments in fitting.items() if arguments]
    arguments = [a.name for a in free if any(a.name in names for names in fitting.values())]
    length = min(len(outputs), len(arguments))
    ways = (
        dict(zip(kept, chosen, strict=True))
        for kept in combinations(outputs, length)
        for chosen in permutations(arguments, length)
    )
    found = islice((w for w in ways if all(a in fitting[o] for o, a in w.items())), _MATCHINGS)
    return ({}, *filter(None, found)) if contract.mutated else tuple(filter(None, found))


# --- Validation -----------------------------------------------------------------------------------


def read_split(given: Mapping[str, Split] | None, dims: Sequence[str]) -> dict[str, Split]:
    """The `split` of a contract, boundaries given as text included.

    Raises:
        ContractError: It names no dim, or a value is not one of the four kinds.
    """
    unknown = set(given or {}) - set(dims)
    if unknown:
        raise ContractError(f"split names {sorted(unknown)}; the dims are {list(dims)}")
    return {dim: _read_one(dim, one) for dim, one in (given or {}).items()}


def _read_one(dim: str, given: Split) -> Split:
    if not isinstance(given, Block | Replicated | Ring | Pencil):
        raise ContractError(
            f"split of {dim!r} is {given!r}; write Block(halo=1), Ring(), Pencil() or Replicated()"
        )
    if isinstance(given, Replicated):
        return given
    if type(given.minimum) is not int or given.minimum < 1:
        raise ContractError(f"split of {dim!r} is {given}; a minimum at least 1 is needed")
    if not isinstance(given, Block):
        return given
    halo = given.halo if isinstance(given.halo, tuple) else (given.halo,)
    if len(halo) > 2 or any(type(cells) is not int or cells < 0 for cells in halo) or not halo:
        raise ContractError(
            f"split of {dim!r} is {given}; a halo is at least 0 cells, or a pair such as (1, 0) "
            "of cells on the low and on the high side"
        )
    if len(halo) == 1 and isinstance(given.halo, tuple):
        raise ContractError(f"split of {dim!r} is {given}; write halo={halo[0]} or a pair")
    boundary = _member(Boundary, given.boundary, f"the boundary of {dim!r}")
    return msgspec.structs.replace(given, boundary=boundary)


def read_reduce(
    given: Mapping[str, Reduced] | None, outputs: Sequence[Output]
) -> dict[str, Reduced]:
    """The `reduce` of a contract, operations given as text included.

    Raises:
        ContractError: It names no output, or a value is no `Reduced`.
    """
    names = [output.name for output in outputs]
    unknown = set(given or {}) - set(names)
    if unknown:
        raise ContractError(
            f"reduce names {sorted(unknown)}; the returned outputs are {names}, left to right"
        )
    found = {}
    for name, one in (given or {}).items():
        if not isinstance(one, Reduced):
            raise ContractError(f'reduce of {name!r} is {one!r}; write Reduced("sum")')
        operation = _member(Combination, one.operation, f"the reduction of {name!r}")
        found[name] = msgspec.structs.replace(one, operation=operation)
    return found


def _member(kind: type[Named], value: Any, what: str) -> Named:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(member.value) for member in kind)
        raise ContractError(f"{what} is {value!r}; write one of {known}") from None


def refuse_uncuttable(contract: Contract) -> None:
    """Check `split`, `steps` and `reduce` against the arrays of a contract.

    Raises:
        ContractError: They contradict; the message says what to write.
    """
    for part in contract.parts:
        for text in part.dims or ():
            _refuse_axis(contract, part, text)
        _refuse_repeats(contract, part)
    _refuse_lone_pencil(contract)
    _refuse_padded_periodic(contract)
    _refuse_steps(contract)
    _refuse_reduce(contract)


def _refuse_axis(contract: Contract, part: Part, text: str) -> None:
    affine = parse_dim(text)
    cut = [name for name in affine.names if name in cut_dims(contract)]
    if len(cut) > 1:
        raise ContractError(
            f"the axis {text!r} of {part.name!r} follows two dims that may be cut, "
            f"{' and '.join(cut)}; leave one of them out of split"
        )
    if cut and not _is_cuttable(affine):
        raise ContractError(
            f"the axis {text!r} of {part.name!r} cannot be cut along {cut[0]!r}; only axes such as "
            f"`{cut[0]}` and `{cut[0]}+4` can, so leave {cut[0]!r} out of split, or give that axis "
            "a dim of its own"
        )


def _is_cuttable(axis: Affine) -> bool:
    return len(axis.terms) == 1 and axis.terms[0][1] == 1 and axis.constant >= 0


def _refuse_repeats(contract: Contract, part: Part) -> None:
    names = [name for text in part.dims or () for name in parse_dim(text).names]
    for dim in block_dims(contract):
        if names.count(dim) > 1:
            raise ContractError(
                f"{part.name!r} has {dim!r} on two axes, so that a block of {dim!r} is no block of "
                f"it; write Ring() for {dim!r}, or name the axes apart"
            )


def _refuse_lone_pencil(contract: Contract) -> None:
    pencils = [dim for dim, split in contract.split.items() if isinstance(split, Pencil)]
    if len(pencils) == 1:
        raise ContractError(
            f"{pencils[0]!r} is the only Pencil; one dim is cut while another is whole, so declare "
            "two of them"
        )


def _refuse_padded_periodic(contract: Contract) -> None:
    for dim, block in block_dims(contract).items():
        if block.boundary is Boundary.FIXED:
            continue
        for part in contract.parts:
            for axis in cut_axes(contract, part):
                if axis.dim == dim and axis.extra:
                    raise ContractError(
                        f"{dim!r} is periodic, but {part.name!r} has "
                        f"{(part.dims or ())[axis.number]!r}, which carries its surroundings; "
                        'write boundary="fixed"'
                    )


def _refuse_steps(contract: Contract) -> None:
    if contract.steps is None:
        return
    counts = [a.name for a in contract.arguments if _is_int_scalar(a)]
    if contract.steps not in counts:
        raise ContractError(
            f"steps={contract.steps!r} is no int argument; these are {counts or 'none'}"
        )
    used = {name for p in contract.parts for text in p.dims or () for name in parse_dim(text).names}
    if contract.steps in used:
        raise ContractError(
            f"steps={contract.steps!r} is the extent of an array, not a number of time steps"
        )


def _is_int_scalar(argument: Argument) -> bool:
    return not argument.is_array and np.dtype(argument.dtype).kind in "iu"


def _refuse_reduce(contract: Contract) -> None:
    if contract.reduce and not cut_dims(contract):
        raise ContractError("reduce is given, but no dim is cut; write split={...} with a Block()")
    for output in contract.outputs:
        axes = cut_axes(contract, output)
        if output.name in contract.reduce and axes:
            raise ContractError(
                f"reduce names {output.name!r}, which has the axis {axes[0].dim!r} that is cut; "
                "each rank holds its own part of it, so leave it out of reduce, or leave "
                f"{axes[0].dim!r} out of split"
            )
