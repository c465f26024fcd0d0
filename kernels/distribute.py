"""A function whose arrays are cut over the ranks of an MPI job."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from outpace.codegen.abi import as_results
from outpace.codegen.contract import size_names
from outpace.codegen.dims import sizes_text
from outpace.codegen.mpi.layout import Layout, Part, cut_dims, grid_dims
from outpace.codegen.reference import Reference
from outpace.codegen.splitting import halo_of
from outpace.errors import ContractError
from outpace.kernels.languages.base import Kernel
from outpace.kernels.languages.mpi import takes_sizes
from outpace.kernels.rank_arguments import (
    attempted,
    bound_blocks,
    bound_wholes,
    fitted,
    named,
)
from outpace.kernels.rank_blocks import Array, Comm, agree, collect, collect_everywhere, deal
from outpace.kernels.rank_programs import Choice, Programs
from outpace.kernels.serve import returned, returns_of
from outpace.model import Output

_KNOWN_PROBLEMS = 256
"""Problems of which the program is remembered; a loop over ever new ones starts over."""


@dataclass(frozen=True)
class _Call:
    """What one rank passes: arguments in order, the scalars among them, and the global sizes."""

    values: list[Any]
    scalars: dict[str, Any]
    sizes: dict[str, int]


@dataclass(frozen=True)
class _Problem:
    """Who owns what of a problem, and what runs; nothing where rank 0 runs the reference."""

    layout: Layout
    run: Kernel | None
    keywords: dict[str, Any]


class Distributed:
    """A function over the ranks of a communicator; `OptimizedFunction.distribute` makes it.

    Every rank holds its own block of each array that is cut, and the whole of every other. All
    methods but `own`, `layout`, `empty` and `explain` are called by all ranks together. What is
    wrong on one rank is raised on every rank, with the same text.

    The sizes of the dims that are cut are those which `scatter`, `local` or `empty` had last.

    Attributes:
        reference: The function as written, with its contract.
        rank: Of this process.
        ranks: Their number.
    """

    def __init__(self, reference: Reference, comm: Comm) -> None:
        """See `OptimizedFunction.distribute`."""
        self.reference = reference
        self._contract = reference.contract
        self._parts = {part.name: part for part in self._contract.parts}
        self._signature = inspect.signature(reference.written)
        self._returns = returns_of(reference)
        self._comm = _own_communicator(comm)
        self.rank: int = self._comm.Get_rank()
        self.ranks: int = self._comm.Get_size()
        self._cut: dict[str, int] = {}
        self._bindings: dict[tuple[Any, ...], dict[str, int]] = {}
        self._problems: dict[tuple[Any, ...], _Problem] = {}
        try:
            self._programs = Programs(reference, self._comm)
        except BaseException:
            self._comm.Free()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the communicator back that messages travel in; all ranks call it, last."""
        self._comm.Free()

    def __repr__(self) -> str:
        return f"<{self.reference.name} on rank {self.rank} of {self.ranks}>"

    # --- Who owns what --------------------------------------------------------------------------

    @property
    def halos(self) -> dict[str, tuple[int, int]]:
        """Per dim that is cut, how many cells one step reads below and above a rank's own."""
        return {dim: halo_of(self._contract.split[dim]) for dim in cut_dims(self._contract)}

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        """Who owns which cells of a problem.

        Args:
            sizes: At least the global extents of the dims that are cut.

        Raises:
            ContractError: One of them is missing.
        """
        missing = [dim for dim in grid_dims(self._contract) if dim not in sizes]
        if missing:
            raise ContractError(
                f"the extent of {', '.join(missing)} is not known, along which the problem is cut; "
                "scatter all arrays together, or name sizes="
            )
        return Layout.of(self._contract, sizes, self._programs.grid(sizes))

    def own(self, name: str, sizes: Mapping[str, int]) -> tuple[slice, ...]:
        """The cells that this rank owns of an argument or output, as slices of the whole array.

        Args:
            name: Of the argument; `out`, or `out0`, `out1` of several, for what is returned.
            sizes: Global extents of the dims that it mentions and of those that are cut.

        Raises:
            ContractError: There is no such part, or a size is missing.
        """
        part = self._part(name)
        layout = self.layout(sizes)
        try:
            return layout.own(part, self.rank)
        except KeyError as error:
            raise ContractError(f"the extent of {error.args[0]} is missing for {name}") from None

    def empty(self, name: str, sizes: Mapping[str, int]) -> Array:
        """A new array for this rank's own block, for data that are made where they live.

        Args:
            name: As for `own`.
            sizes: As for `own`; they count until others come.

        Raises:
            ContractError: There is no such part, or a size is missing.
        """
        shape = tuple(cells.stop - cells.start for cells in self.own(name, sizes))
        self._remember(sizes)
        return np.empty(shape, self._part(name).dtype)

    # --- Moving data ----------------------------------------------------------------------------

    def scatter(self, /, *wholes: Any, root: int = 0, **by_name: Any) -> Any:
        """Cut whole arrays that one rank holds.

        Args:
            *wholes: Array arguments in the order of the signature; anything on other ranks.
            root: The rank that holds them.
            **by_name: Array arguments by name.

        Returns:
            The own block of one array; a tuple of those of several, in the order given. An array
            that is not cut is whole on every rank.

        Raises:
            ContractError: An array is not what the annotation says.
        """
        arrays = [a for a in self._contract.arguments if a.is_array]
        sizes: dict[str, int] = {}

        def checked() -> dict[str, Any]:
            self._refuse_root(root)
            given = named(wholes, by_name, arrays, self._contract)
            if self.rank == root:
                sizes.update(self._cut, **bound_wholes(self._contract, given))
                self.layout(sizes)
            return given

        found, problem = attempted(checked)
        given = found or {}
        agree(self._comm, problem, f"scatter of {', '.join(given)} from {root}")
        sizes = self._comm.bcast(sizes, root=root)
        layout = self.layout(sizes)
        blocks = [
            deal(self._comm, layout, self._parts[name], whole, root)
            for name, whole in given.items()
        ]
        self._remember(sizes)
        return _one_or_all(blocks)

    def local(self, /, *blocks: Any, sizes: Mapping[str, int] | None = None, **by_name: Any) -> Any:
        """Check own blocks of data that were born distributed.

        Args:
            *blocks: Of array arguments in the order of the signature.
            sizes: Global extents of the dims that are cut; by default those at hand.
            **by_name: Blocks by name.

        Returns:
            The block, or a tuple of several, C-contiguous; no copy where they are so already.

        Raises:
            ContractError: A block has another dtype or shape than this rank owns.
        """
        arrays = [a for a in self._contract.arguments if a.is_array]

        def checked() -> tuple[dict[str, Any], dict[str, int]]:
            given = named(blocks, by_name, arrays, self._contract)
            return given, self._bound(given, sizes or {})

        found, problem = attempted(checked)
        given, bound = found or ({}, {})
        agree(self._comm, problem, f"blocks of {', '.join(given)} at {sizes_text(bound)}")
        self._remember(bound)
        return _one_or_all([np.ascontiguousarray(block) for block in given.values()])

    def gather(
        self,
        /,
        *blocks: Any,
        root: int | None = 0,
        sizes: Mapping[str, int] | None = None,
        **by_name: Any,
    ) -> Any:
        """Put own blocks together again.

        Args:
            *blocks: What `run` returned, in its order; of a function that returns nothing, the
                arguments that it writes in place.
            root: The rank that gets the whole; None for all of them.
            sizes: Global extents of the dims that are cut; by default those at hand.
            **by_name: Blocks of any arguments and outputs, by name.

        Returns:
            On the root the whole array, or a tuple of several in the order given; elsewhere None.

        Raises:
            ContractError: A block has another dtype or shape than this rank owns.
        """
        results = self._contract.outputs or self._contract.mutated

        def checked() -> tuple[dict[str, Any], dict[str, int]]:
            self._refuse_root(root)
            given = named(blocks, by_name, results, self._contract)
            arrays = {name: block for name, block in given.items() if not self._is_number(name)}
            return given, self._bound(arrays, sizes or {})

        found, problem = attempted(checked)
        given, bound = found or ({}, {})
        said = f"gather of {', '.join(given)} at {sizes_text(bound)} to {root}"
        agree(self._comm, problem, said)
        layout = self.layout(bound)
        wholes = [self._gathered(layout, name, block, root) for name, block in given.items()]
        return _one_or_all(wholes) if root in (None, self.rank) else None

    # --- Running --------------------------------------------------------------------------------

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function on its distributed arguments.

        Every call begins with one `Allgather` of 8 bytes, by which a rank with other sizes or a
        wrong array is found before anybody waits for it.

        Args:
            *args: As the function takes them: own blocks of arrays that are cut, whole arrays
                otherwise, and scalars, the same on every rank.
            **kwargs: The same by name.

        Returns:
            As the function, own blocks in place of arrays that are cut. Arguments that it writes
            in place are written in the own blocks.

        Raises:
            ContractError: An argument is not what the annotation says, or ranks differ in sizes
                or scalars; on every rank.
            EnvironmentError_: The program cannot be built; on every rank.
        """
        call, wrong = attempted(lambda: self._call(args, kwargs))
        self._agree_on_call(call, wrong)
        assert call is not None
        problem = self._problem(call.sizes)
        outputs = [
            np.empty(problem.layout.shape(output, self.rank), output.dtype)
            for output in self._contract.outputs
        ]
        if problem.run is None:
            self._run_reference(problem.layout, call.values, outputs)
        else:
            problem.run(self._comm, *call.values, *outputs, **problem.keywords)
        return returned(self._contract, self._returns, outputs)

    def explain(self, sizes: Mapping[str, int]) -> Choice:
        """Which program runs for a problem, and why; loads nothing.

        Args:
            sizes: Global dims and int arguments.

        Raises:
            ContractError: A size is missing, or they are outside the domain.
        """
        missing = [name for name in size_names(self._contract) if name not in sizes]
        if missing:
            raise ContractError(f"sizes lacks {', '.join(missing)}")
        return self._programs.choose(sizes)

    # --- Inside ---------------------------------------------------------------------------------

    def _part(self, name: str) -> Part:
        part = self._parts.get(name)
        if part is None or part.dims is None:
            arrays = ", ".join(p.name for p in self._contract.parts if p.dims is not None)
            raise ContractError(f"{name} is no array of {self.reference.name}; it has {arrays}")
        return part

    def _is_number(self, name: str) -> bool:
        """Whether it is returned as a number, which every rank has."""
        part = self._parts[name]
        return isinstance(part, Output) and part.scalar

    def _refuse_root(self, root: int | None) -> None:
        if root is not None and not 0 <= root < self.ranks:
            raise ContractError(f"there is no root {root} among {self.ranks} ranks")

    def _remember(self, sizes: Mapping[str, int]) -> None:
        self._cut |= {dim: sizes[dim] for dim in cut_dims(self._contract) if dim in sizes}

    def _bound(self, given: Mapping[str, Any], known: Mapping[str, int]) -> dict[str, int]:
        """Sizes of the whole problem of which this rank has these own blocks."""
        cut = {**self._cut, **known}
        return bound_blocks(given, self.layout(cut), self.rank, cut)

    def _call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Call:
        values = fitted(self.reference, self._signature, args, kwargs)
        arrays = {a.name: values[a.name] for a in self._contract.arguments if a.is_array}
        scalars = {name: value for name, value in values.items() if name not in arrays}
        integers = {n: int(scalars[n]) for n in size_names(self._contract) if n in scalars}
        shapes = (value.shape for value in arrays.values())
        key = (*self._cut.items(), *shapes, *integers.values())
        if key not in self._bindings:
            if len(self._bindings) >= _KNOWN_PROBLEMS:
                self._bindings.clear()
            self._bindings[key] = self._bound(arrays, integers)
        return _Call(list(values.values()), scalars, self._bindings[key])

    def _agree_on_call(self, call: _Call | None, problem: str | None) -> None:
        """As `agree`, with a few bytes in the usual case."""
        said = "" if call is None else sizes_text({**call.sizes, **call.scalars})
        own = np.array([0 if call is None else _digest(said)])
        heard = np.empty(self.ranks, own.dtype)
        self._comm.Allgather(own, heard)
        if not heard.all() or heard.min() < heard.max():
            agree(self._comm, problem, said)

    def _problem(self, sizes: dict[str, int]) -> _Problem:
        """What runs for these sizes, loaded; all ranks call it."""
        key = tuple(sizes.items())
        if key not in self._problems:
            choice = self._programs.choose(sizes)
            own = {name: sizes[name] for name in size_names(self._contract)}
            run = self._programs.load(choice, own)
            keywords = {"sizes": own} if run is not None and takes_sizes(run) else {}
            if len(self._problems) >= _KNOWN_PROBLEMS:
                self._problems.clear()
            layout = Layout.of(self._contract, sizes, choice.grid)
            self._problems[key] = _Problem(layout, run, keywords)
        return self._problems[key]

    def _run_reference(
        self, layout: Layout, values: Sequence[Any], outputs: Sequence[Array]
    ) -> None:
        """Gather the arguments, run the reference on rank 0, and deal its results."""
        arguments = self._contract.arguments
        wholes = [
            collect(self._comm, layout, a, value, 0) if a.is_array else value
            for a, value in zip(arguments, values, strict=True)
        ]
        results: list[Any] = [None] * len(outputs)
        failed: Exception | None = None
        if self.rank == 0:
            try:
                made = self.reference.fn(*wholes)
                results = list(as_results(self._contract, made, layout.global_sizes))
            except Exception as error:  # noqa: BLE001  (the others wait for its results)
                failed = error
        problem = self._comm.bcast(failed and f"{type(failed).__name__}: {failed}", root=0)
        if problem is not None:
            raise failed or RuntimeError(f"rank 0: {problem}")
        for a, whole, own in zip(arguments, wholes, values, strict=True):
            if a.mutated:
                own[...] = deal(self._comm, layout, a, whole, 0)
        for output, whole, own in zip(self._contract.outputs, results, outputs, strict=True):
            own[...] = deal(self._comm, layout, output, whole, 0)

    def _gathered(self, layout: Layout, name: str, block: Any, root: int | None) -> Any:
        part = self._parts[name]
        if self._is_number(name):
            return block
        own = np.ascontiguousarray(block)
        if root is None:
            return collect_everywhere(self._comm, layout, part, own)
        return collect(self._comm, layout, part, own, root)


def _own_communicator(comm: Comm) -> Comm:
    """One in which no message can meet the caller's."""
    if not all(hasattr(comm, name) for name in ("Dup", "Allgather", "Get_rank")):
        raise ContractError(
            f"distribute takes a communicator, such as MPI.COMM_WORLD of mpi4py, not a "
            f"{type(comm).__name__}"
        )
    return comm.Dup()


def _one_or_all(found: Sequence[Any]) -> Any:
    return found[0] if len(found) == 1 else tuple(found)


def _digest(text: str) -> int:
    """Above 0, and different for different texts."""
    return 1 + int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())
