"""Which decomposition fits a reference: told by its contract, and where need be by its source."""

from __future__ import annotations

import ast
from enum import StrEnum

from outpace.codegen.dims import parse_dim
from outpace.codegen.domain import free_names
from outpace.codegen.mpi.layout import cut_dims, cuts, grid_dims, pencil_dims
from outpace.codegen.mpi.refusals import refuse_calls
from outpace.codegen.source import SourceClosure
from outpace.codegen.splitting import ghosts, halo_of
from outpace.errors import ContractError
from outpace.model import Contract
from outpace.split import Block, Combination, Ring


class Pattern(StrEnum):
    """How a reference is spread over ranks."""

    MAP = "map"
    REDUCTION = "reduction"
    STENCIL = "stencil"
    PRODUCT = "product"
    TRANSPOSE = "transpose"
    TRANSFORM = "transform"
    RING = "ring"


_TRANSFORMS = ("fft2", "ifft2")
_TRANSPOSED = (
    "{0}.T.copy()",
    "np.ascontiguousarray({0}.T)",
    "np.transpose({0}).copy()",
    "{0}.transpose().copy()",
    "np.ascontiguousarray(np.transpose({0}))",
    "np.ascontiguousarray({0}.transpose())",
    "np.array({0}.T)",
)


def recognise(contract: Contract, closure: SourceClosure) -> Pattern:
    """The pattern of a reference.

    Raises:
        ContractError: There is none; the message says why.
    """
    dims = grid_dims(contract)
    if not dims:
        raise ContractError(
            "no dim of this reference may be cut over ranks; "
            'name one, as in split={"y": Block(halo=1)}'
        )
    if len(pencil_dims(contract)) > 2:
        raise ContractError(
            "there are no plans for a transform of three axes yet; of the pencil dims "
            f"{', '.join(pencil_dims(contract))} name two"
        )
    refuse_calls(contract, closure)
    _refuse_contract(contract)
    kinds = {type(contract.split[dim]) for dim in dims}
    if len(kinds) > 1:
        raise ContractError(
            f"no pattern of map, reduction, stencil, product, transpose, transform or ring fits: "
            f"{', '.join(dims)} are cut in different ways; cut one kind of dim"
        )
    if pencil_dims(contract):
        return _pencil_pattern(contract, closure)
    if kinds == {Ring}:
        return Pattern.RING
    if contract.reduce:
        return Pattern.REDUCTION
    if len(cut_dims(contract)) > len(dims):
        return Pattern.PRODUCT
    has_halo = any(halo_of(contract.split[dim]) != (0, 0) for dim in dims)
    return Pattern.STENCIL if has_halo else Pattern.MAP


def transform_of(closure: SourceClosure) -> str | None:
    """`fft2` or `ifft2` where the reference is just that of its argument."""
    main = _main(closure)
    arguments = [a.arg for a in main.args.args]
    for name in _TRANSFORMS:
        if len(arguments) == 1 and _returns(main, [f"np.fft.{name}({arguments[0]})"]):
            return name
    return None


def _pencil_pattern(contract: Contract, closure: SourceClosure) -> Pattern:
    main = _main(closure)
    arguments = [a.arg for a in main.args.args]
    shapes = [part.dims for part in contract.parts]
    if len(shapes) == 2 and set(shapes[0] or ()) == set(pencil_dims(contract)):
        if transform_of(closure) is not None and shapes[1] == shapes[0]:
            return Pattern.TRANSFORM
        transposed = _returns(main, [text.format(arguments[0]) for text in _TRANSPOSED])
        if transposed and shapes[1] == (shapes[0] or ())[::-1]:
            return Pattern.TRANSPOSE
    raise ContractError(
        "no pattern of transpose or 2-D transform fits: the pencil dims of this reference are "
        "neither those of `np.fft.fft2(u)` nor of `u.T.copy()`"
    )


def _main(closure: SourceClosure) -> ast.FunctionDef:
    main = ast.parse(closure.functions[closure.name]).body[0]
    assert isinstance(main, ast.FunctionDef)
    return main


def _returns(main: ast.FunctionDef, texts: list[str]) -> bool:
    """Whether a function does nothing but return one of these expressions."""
    body = main.body[1:] if ast.get_docstring(main) is not None else main.body
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return False
    return ast.unparse(body[0].value) in texts


def _refuse_contract(contract: Contract) -> None:
    dims = grid_dims(contract)
    _refuse_reductions(contract)
    for part in contract.parts:
        for cut, dim in zip(cuts(contract, part), part.dims or (), strict=True):
            names = parse_dim(dim).names
            other = [n for n in names if n in dims and (cut is None or cut.dim != n)]
            is_pencil = set(other) <= set(pencil_dims(contract))
            if (cut is not None and not cut.is_simple) or (other and not is_pencil):
                raise ContractError(
                    f"the axis {dim!r} of {part.name} cannot be cut; a dim that is cut may stand "
                    "on one axis of each array, as `y` or `y+4`"
                )
    for part in contract.results:
        missing = {cut.over for cut in cuts(contract, part) if cut is not None}
        whole = [dim for dim in dims if (dim,) not in missing]
        if whole and part.name not in contract.reduce:
            raise ContractError(
                f"{part.name} does not mention {', '.join(whole)}, which may be cut; if it is a "
                f'reduction, write reduce={{"{part.name}": Reduced()}}'
            )
    if contract.where is not None and set(free_names(contract.where)) & set(cut_dims(contract)):
        known = {n for p in contract.parts for d in p.dims or () for n in parse_dim(d).names}
        scalars = {a.name for a in contract.arguments}
        if set(free_names(contract.where)) - known - scalars:
            raise ContractError(
                f"where={contract.where!r} limits a dim that may be cut in a way that its blocks "
                "cannot keep; cut another dim"
            )


def _refuse_reductions(contract: Contract) -> None:
    if not contract.reduce:
        return
    if contract.steps is not None:
        raise ContractError("there are no plans for a reduction with time steps")
    dtypes = {o.name: o.dtype for o in contract.outputs}
    for name, reduced in contract.reduce.items():
        ordered = reduced.operation in (Combination.MINIMUM, Combination.MAXIMUM)
        if dtypes[name] == "bool" or (ordered and dtypes[name].startswith("complex")):
            raise ContractError(
                f"{name} of dtype {dtypes[name]} cannot be combined by {reduced.operation}"
            )
    for dim, split in contract.split.items():
        if isinstance(split, Block) and not _is_carried(contract, dim):
            raise ContractError(
                f"there are no plans for a reduction over a stencil (the halo of {dim} is "
                f"{split.halo}); compute the field in one reference and reduce it in another"
            )


def _is_carried(contract: Contract, dim: str) -> bool:
    """Whether blocks of a dim need no ghost cells but those of axes such as `y+4`."""
    return ghosts(contract, dim) == (0, 0)
