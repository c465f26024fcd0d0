"""The text of an MPI program: templates, constants that describe the reference, and its kernel."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from outpace.codegen.dims import parse_dim
from outpace.codegen.mpi.layout import cuts, grid_dims, pencil_dims
from outpace.codegen.mpi.patterns import Pattern
from outpace.codegen.mpi.plan import grid_parameter
from outpace.codegen.mpi.rows import EXCHANGE, FIRST, ROWS
from outpace.codegen.mpi.text import beside, template_body, template_imports
from outpace.codegen.splitting import ghosts, halo_of
from outpace.errors import DraftError
from outpace.model import Argument, Contract, Output, Parameter
from outpace.split import Block, Boundary

_EXCHANGING = ("geometry", "messages", "exchange")


@dataclass(frozen=True)
class Program:
    """What a program is made from.

    Attributes:
        contract: Of the reference.
        pattern: How it is spread over ranks.
        carried: For each output that is the state of the next step, the input that it becomes.
        kernel: Source that defines `kernel`; empty where NumPy's transforms do the work.
        plan: The plan in a sentence or two.
        parameters: What the tuner may set; the program holds the defaults.
        transform: Name of the transform along one axis, such as `fft`.
        by_rows: Whether the kernel is one of `outpace.codegen.mpi.rows`.
    """

    contract: Contract
    pattern: Pattern
    carried: dict[str, str]
    kernel: str
    plan: str
    parameters: tuple[Parameter, ...]
    transform: str = ""
    by_rows: bool = False


def program_text(program: Program) -> str:
    """A standalone mpi4py program that defines `run(comm, <inputs>, <outputs>, *, sizes)`.

    Raises:
        DraftError: The kernel or the reference uses a name that the program needs for itself.
    """
    if program.pattern is Pattern.TRANSFORM:
        names: tuple[str, ...] = (*_EXCHANGING, "fourier")
        driver = [_run_transform(program)]
    else:
        names = (*_EXCHANGING, "pieces", "stepping", *_needed(program))
        driver = [_fits(program), _parts(program), _run(program)]
    own = "\n\n\n".join([*map(template_body, names), *driver])
    imports = template_imports(names, "from functools import lru_cache")
    constants = "\n".join(f"{p.name} = {p.values[0]!r}" for p in program.parameters)
    sections = [f'"""{textwrap.fill(program.plan, 96)}\n"""', imports, constants, own]
    if program.kernel:
        kernel = beside(program.kernel, f"{imports}\n{constants}\n{own}")
        problem = "own rows" if program.by_rows else "the serial problem on a block"
        sections += [f"# The kernel of one rank: {problem}.", kernel.strip()]
    return "\n\n".join(section for section in sections if section) + "\n"


def _needed(program: Program) -> tuple[str, ...]:
    """Templates that some programs need."""
    wanted = {
        "slabs": any(p.name == "OVERLAP" for p in program.parameters),
        "combining": bool(program.contract.reduce),
        "ring": program.by_rows,
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def _fits(program: Program) -> str:
    """The function that says for which local sizes the kernel is made."""
    contract = program.contract
    conditions = []
    for dim in _blocked(program):
        split = contract.split[dim]
        axes = [parse_dim(text) for part in contract.parts for text in part.dims or ()]
        shortest = max((-a.constant for a in axes if dim in a.names), default=0)
        least = max(split.minimum if isinstance(split, Block) else 1, shortest)
        conditions.append(f'sizes["{dim}"] >= {least}')
    if contract.where is not None:
        conditions.append(f"({_on_sizes(contract.where)})")
    return (
        "def fits(sizes: dict[str, int]) -> bool:\n"
        '    """Whether the kernel is made for a problem of these sizes."""\n'
        f"    return {' and '.join(conditions) or 'True'}"
    )


def _on_sizes(text: str) -> str:
    """An expression over names as one over `sizes`."""

    class OnSizes(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.parse(f'sizes["{node.id}"]', mode="eval").body

    return ast.unparse(OnSizes().visit(ast.parse(text.strip(), mode="eval")))


def _parts(program: Program) -> str:
    """The constants that describe the reference."""
    contract = program.contract
    order = [part.name for part in contract.parts]
    order += [FIRST, ROWS, EXCHANGE] if program.by_rows else []
    arrays = [part for part in contract.parts if part.dims is not None]
    dtypes = "".join(f'        "{a.name}": "{a.dtype}",\n' for a in arrays)
    axes = "".join(f'        "{a.name}": {_axes(contract, a)},\n' for a in arrays)
    halos = "".join(f'    "{dim}": {_halo(program, dim)},\n' for dim in _blocked(program))
    steps = None if contract.steps is None else contract.steps
    return (
        "PARTS = Parts(\n"
        f"    order={_tuple(order)},\n"
        f"    axes={{\n{axes}    }},\n"
        f"    dtypes={{\n{dtypes}    }},\n"
        f"    mutated={_tuple([a.name for a in contract.mutated])},\n"
        f"    outputs={_tuple([o.name for o in contract.outputs])},\n"
        f"    carried={program.carried!r},\n"
        f"    steps={steps!r},\n"
        ")\n"
        f"HALOS = {{\n{halos}}}"
    )


def _axes(contract: Contract, part: Argument | Output) -> str:
    texts = []
    for dim, cut in zip(part.dims or (), cuts(contract, part), strict=True):
        axis = parse_dim(dim)
        simple = len(axis.terms) <= 1 and all(factor == 1 for _, factor in axis.terms)
        name = (axis.names or ("",))[0] if simple else dim
        constant = axis.constant if simple else 0
        over = () if cut is None else cut.over
        texts.append(f'Axis("{name}", {constant}, {_tuple(over)})')
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def _halo(program: Program, dim: str) -> str:
    contract = program.contract
    split = contract.split[dim]
    over = pencil_dims(contract)[0] if dim in pencil_dims(contract) else dim
    if not isinstance(split, Block):
        return f'Halo("{over}")'
    low, high = halo_of(split)
    carried_low, carried_high = _carried_ghosts(contract, dim)
    wraps = split.boundary is Boundary.PERIODIC
    return f'Halo("{over}", {low}, {high}, {carried_low}, {carried_high}, wraps={wraps})'


def _carried_ghosts(contract: Contract, dim: str) -> tuple[int, int]:
    """Ghost cells that padded axes carry."""
    low, high = halo_of(contract.split[dim])
    many = (
        1
        + max(low, high)
        + max((parse_dim(t).constant for a in contract.arguments for t in a.dims or ()), default=0)
    )
    left, right = ghosts(contract, dim, many)
    return (many * low - left if low else 0), (many * high - right if high else 0)


def _blocked(program: Program) -> tuple[str, ...]:
    """Dims of which a rank's local problem is a block."""
    contract = program.contract
    if program.pattern is Pattern.RING:
        return ()
    if program.pattern is Pattern.TRANSPOSE:
        results = (cut for part in contract.results for cut in cuts(contract, part))
        return tuple(dict.fromkeys(cut.dim for cut in results if cut is not None))
    return grid_dims(contract)


def _run(program: Program) -> str:
    contract = program.contract
    chosen = {p.name for p in program.parameters}
    lines = [
        *_entry(contract),
        "def _solve(comm, values, sizes):",
        '    """Solve on one rank: `values` holds own blocks, `sizes` are those of the whole."""',
        *(_rows_lines(contract) if program.by_rows else ()),
        "    solver = _solver(comm.Get_size(), comm.Get_rank(), tuple(sizes.items()))",
        "    solver.run(comm, kernel, values)",
    ]
    for name, reduced in contract.reduce.items():
        how = "COLLECTIVE" if "COLLECTIVE" in chosen else '"gather"'
        given = f'values["{name}"], "{reduced.operation}", {how}'
        lines.append(f"    combine(comm, solver.geometry, {given})")
    lines += [
        "",
        "",
        "@lru_cache(maxsize=1)",
        "def _solver(ranks, rank, sizes):",
        '    """What calls of one problem have in common: blocks, messages and memory."""',
        "    sizes = dict(sizes)",
        *_extra_sizes(contract),
        *_grid_lines(grid_dims(contract), chosen),
        f"    how = Exchanges({_how(program, chosen)})",
        "    reach = {dim: halo.reach(how.depth) for dim, halo in HALOS.items()}",
        "    solver = Solver(rank, Geometry(grid, sizes, reach, fits), PARTS, how, fits)",
        *_choice(contract, chosen),
    ]
    return "\n".join(lines)


def _choice(contract: Contract, chosen: set[str]) -> list[str]:
    """Of the forms of a solver that with no copies, where one exchange is enough."""
    if "OVERLAP" not in chosen:
        return ["    return solver"]
    once = "" if contract.steps is None else f'how.depth >= sizes["{contract.steps}"] and '
    return [f"    return Slabs(solver) if {once}can_slice(solver) else solver"]


def _run_transform(program: Program) -> str:
    (given,), (result,) = program.contract.arguments, program.contract.outputs
    rows, columns = given.dims or ()
    lines = [
        *_entry(program.contract),
        "def _solve(comm, values, sizes):",
        '    """Transform on one rank: own rows in `values`; `sizes` are those of the whole."""',
        "    turning = _turning(comm.Get_size(), comm.Get_rank(), tuple(sizes.items()))",
        f"    along = np.fft.{program.transform}",
        f'    transform(comm, turning, along, values["{given.name}"], values["{result.name}"])',
        "",
        "",
        "@lru_cache(maxsize=1)",
        "def _turning(ranks, rank, sizes):",
        '    """What calls of one problem have in common: blocks, messages and memory."""',
        f'    grid, dtype = {{"{rows}": ranks}}, "{result.dtype}"',
        f'    return Turning(rank, grid, dict(sizes), "{columns}", EXCHANGE, dtype)',
    ]
    return "\n".join(lines)


def _entry(contract: Contract) -> list[str]:
    """The function that is called; names of the reference cannot hide others in it."""
    order = [part.name for part in contract.parts]
    if taken := {"comm", "sizes", "_solve"} & set(order):
        raise DraftError(
            f"the argument {taken.pop()} has a name that MPI programs need for themselves; "
            "rename it in the reference"
        )
    values = ", ".join(f'"{name}": {name}' for name in order)
    return [
        f"def run(comm, {', '.join(order)}, *, sizes):",
        '    """Solve on one rank: own blocks in and out; `sizes` are those of the whole."""',
        f"    _solve(comm, {{{values}}}, sizes)",
        "",
        "",
    ]


def _rows_lines(contract: Contract) -> list[str]:
    (dim,) = grid_dims(contract)
    return [
        f'    rows = Rows(comm, sizes["{dim}"], EXCHANGE)',
        f'    values |= {{"{FIRST}": rows.first, "{ROWS}": rows.end - rows.first}}',
        f'    values |= {{"{EXCHANGE}": rows.exchange}}',
    ]


def _extra_sizes(contract: Contract) -> list[str]:
    """Sizes of axes that are no dim plus a constant; they are whole on every rank."""
    texts = {text for part in contract.parts for text in part.dims or ()}
    extra = []
    for text in sorted(texts):
        axis = parse_dim(text)
        if len(axis.terms) > 1 or any(factor != 1 for _, factor in axis.terms):
            extra.append(f'"{text}": {_on_sizes(text)}')
    return [f"    sizes = {{**sizes, {', '.join(extra)}}}"] if extra else []


def _grid_lines(dims: Sequence[str], chosen: set[str]) -> list[str]:
    if len(dims) == 1:
        return [f'    grid = {{"{dims[0]}": ranks}}']
    given = ", ".join(f'"{dim}": {grid_parameter(dim)}' for dim in dims)
    assert {grid_parameter(dim) for dim in dims} <= chosen
    return [
        f"    grid = {{{given}}}",
        "    if prod(grid.values()) != ranks:",
        "        grid = default_grid(tuple(grid), sizes, ranks)",
    ]


def _depth(program: Program, chosen: set[str]) -> str:
    steps = program.contract.steps
    if steps is None:
        return "1"
    if "DEPTH" in chosen:
        return f'max(1, min(DEPTH, sizes["{steps}"]))'
    goes_on = program.carried or program.contract.mutated
    return "1" if goes_on else f'max(1, sizes["{steps}"])'


def _how(program: Program, chosen: set[str]) -> str:
    own = "EXCHANGE" in chosen and program.pattern is not Pattern.RING
    mode = "EXCHANGE" if own else '"nonblocking"'
    is_stencil = program.pattern is Pattern.STENCIL
    phases = 'CORNERS == "phases"' if "CORNERS" in chosen else str(is_stencil)
    overlap = "OVERLAP" if "OVERLAP" in chosen else "False"
    return f"{mode}, in_phases={phases}, overlap={overlap}, depth={_depth(program, chosen)}"


def _tuple(names: Sequence[str]) -> str:
    inner = ", ".join(f'"{name}"' for name in names)
    return f"({inner}{',' if len(names) == 1 else ''})"
