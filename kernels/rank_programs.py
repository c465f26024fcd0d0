"""Which program runs on the ranks of a communicator: a promotion for them, or the default plan.

Rank 0 looks for promotions and tells the others what it found, drafts included. From then on every
rank decides for itself, and all decide alike, since they hold the same and are asked the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from outpace import codec, environment
from outpace.codegen.dims import sizes_text
from outpace.codegen.domain import allows
from outpace.codegen.mpi.layout import default_grid, grid_dims, grid_of
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, DraftError, EnvironmentError_
from outpace.kernels import builds, promotions, target, usage
from outpace.kernels.forking import GUARD
from outpace.kernels.languages.base import Kernel
from outpace.kernels.nearness import covers, is_refused, nearest, outside
from outpace.kernels.promotions import PromotionWarning, StoredPromotion
from outpace.kernels.rank_arguments import attempted
from outpace.kernels.rank_blocks import Comm, agree
from outpace.kernels.serve import differences, runs_threads, unsuitable
from outpace.model import Draft, Evidence, Promotion, Variant

Grid = dict[str, int]
"""Parts of each dim of the process grid."""


class Runs(StrEnum):
    """What runs on the ranks."""

    PROMOTION = "promotion"
    DEFAULT_PLAN = "default plan"
    REFERENCE = "reference on rank 0"


@dataclass(frozen=True)
class Choice:
    """What runs for a problem, and why; `str()` of it is for people.

    Attributes:
        runs: A promotion, the default plan, or the reference.
        grid: Parts of each dim of the process grid.
        reason: One sentence.
        stored: The promotion; None for anything else.
    """

    runs: Runs
    grid: Grid
    reason: str
    stored: StoredPromotion | None = None

    def __str__(self) -> str:
        where = "" if self.stored is None else f" {self.stored.path}"
        parts = ", ".join(f"{parts} along {dim}" for dim, parts in self.grid.items())
        return f"{self.runs}{where}: {self.reason}\n    process grid: {parts}"


class Programs:
    """The programs of one reference for the ranks of one communicator."""

    def __init__(self, reference: Reference, comm: Comm) -> None:
        """Look for promotions; all ranks call it.

        Raises:
            ContractError: Nothing may be cut, or ranks have other sources; on every rank.
        """
        self._reference, self._contract, self._comm = reference, reference.contract, comm
        self._ranks: int = comm.Get_size()
        agree(comm, _unfit(reference), f"the source {reference.source_hash} of {reference.name}")
        here = (environment.disabled(), target.hardware().key)
        everywhere = comm.allgather(here)
        self._is_disabled = any(disabled for disabled, _ in everywhere)
        self._refusals: tuple[str, ...] = ()
        self._offers: tuple[StoredPromotion, ...] = ()
        self._kernels: dict[str, Kernel] = {}
        self._default: Draft | None = None
        self._lost: list[StoredPromotion] = []
        if not self._is_disabled:
            self._find(same_machine=len({key for _, key in everywhere}) == 1)

    def grid(self, sizes: Mapping[str, int]) -> Grid:
        """The process grid for these extents of the dims that are cut; it never changes.

        It is that of the promotion confirmed nearest to them, else the default one.
        """
        own = {dim: sizes[dim] for dim in grid_dims(self._contract)}
        near = [
            (stored, evidence)
            for stored, evidence in self._evidence(self._offers)
            if covers({dim: evidence.workload.sizes[dim] for dim in own}, own)
        ]
        if not near:
            return default_grid(self._contract, own, self._ranks)
        return self._grid_of(nearest(near, own)[0], own)

    def choose(self, sizes: Mapping[str, int]) -> Choice:
        """What runs for a whole problem.

        Args:
            sizes: Every dim and every int argument.

        Raises:
            ContractError: They are outside the domain of the contract.
        """
        if not allows(self._contract, sizes):
            raise ContractError(
                f"the size {sizes_text(sizes)} is outside the domain `{self._contract.where}`"
            )
        grid = self.grid(sizes)
        if self._is_disabled:
            return Choice(Runs.REFERENCE, grid, "OUTPACE_DISABLE is set")
        offers = [one for one in self._offers if one not in self._lost]
        near = [
            (stored, evidence)
            for stored, evidence in self._evidence(offers)
            if covers(evidence.workload.sizes, sizes)
            and not is_refused(stored.promotion, sizes)
            and self._grid_of(stored, sizes) == grid
        ]
        if near:
            stored, evidence = nearest(near, sizes)
            speedup, label = evidence.speedup.median, stored.promotion.variant.label
            reason = f"{label}, {speedup:.1f}x on workload {evidence.workload.name}"
            return Choice(Runs.PROMOTION, grid, reason, stored)
        why = f"there is no promotion for {self._ranks} rank{'s' * (self._ranks > 1)}"
        if offers:
            why = outside(sizes, offers)
        return Choice(Runs.DEFAULT_PLAN, grid, "; ".join([*self._refusals, why]))

    def load(self, choice: Choice, sizes: Mapping[str, int]) -> Kernel | None:
        """The program; None where the reference runs. All ranks call it.

        A promotion that cannot be loaded on every rank runs on none: the default plan does.

        Args:
            choice: What runs.
            sizes: For which it runs, as `outpace.used()` has them.

        Raises:
            ContractError: There is no default plan; on every rank.
            EnvironmentError_: It cannot be built; on every rank.
        """
        if choice.runs is Runs.REFERENCE:
            return None
        stored = choice.stored
        if stored is not None:
            try:
                kernel = self._kernel(stored.promotion.variant)
            except EnvironmentError_ as error:
                self._forget(stored, str(error))
                choice = replace(choice, reason=str(error))
            else:
                usage.record(stored, sizes)
                return kernel
        return self._kernel(self._default_plan(choice))

    def _kernel(self, variant: Variant) -> Kernel:
        if variant.hash not in self._kernels:
            self._kernels[variant.hash] = self._loaded(variant)
        return self._kernels[variant.hash]

    # --- Promotions -----------------------------------------------------------------------------

    def _find(self, *, same_machine: bool) -> None:
        found: list[tuple[str, bytes]] = []
        refusals: list[str] = []
        if self._comm.Get_rank() == 0:
            offers, problem = attempted(lambda: _offers(self._reference, self._ranks))
            stored, refusals = offers or ([], [f"promotions cannot be looked for: {problem}"])
            found = [(str(one.path), codec.encode(one.promotion)) for one in stored]
        found, refusals = self._comm.bcast((found, refusals), root=0)
        if found and not same_machine:
            found, refusals = [], [*refusals, "the ranks run on different kinds of machines"]
        self._offers = tuple(
            StoredPromotion(Path(path), codec.decode(text, Promotion)) for path, text in found
        )
        self._refusals = tuple(refusals)

    def _evidence(
        self, offers: Sequence[StoredPromotion]
    ) -> list[tuple[StoredPromotion, Evidence]]:
        return [(one, evidence) for one in offers for evidence in one.promotion.evidence]

    def _grid_of(self, stored: StoredPromotion, sizes: Mapping[str, int]) -> Grid:
        variant = stored.promotion.variant
        found = grid_of(variant.draft.flags, variant.params, self._contract, sizes, self._ranks)
        return {dim: found.get(dim, 1) for dim in grid_dims(self._contract)}

    def _forget(self, stored: StoredPromotion, why: str) -> None:
        self._lost.append(stored)
        self._refusals = (*self._refusals, f"promotion {stored.path} does not run: {why}")
        self._warn(f"promotion {stored.path}: {why}; the default plan runs")

    # --- The default plan -----------------------------------------------------------------------

    def _default_plan(self, choice: Choice) -> Variant:
        """The plan that outpace makes by itself, on this grid; rank 0 says once that it runs."""
        if self._default is None:
            self._default = self._drafted()
            self._warn(_without_promotion(self._reference, self._ranks, choice.reason))
        return on_grid(self._default, choice.grid)

    def _drafted(self) -> Draft:
        """What rank 0 drafts, on every rank: machines may have other compilers."""
        text, problem = attempted(self._draft) if self._comm.Get_rank() == 0 else (None, None)
        text, problem = self._comm.bcast((text, problem), root=0)
        if problem is not None:
            raise ContractError(problem)
        return codec.decode(text, Draft)

    def _draft(self) -> bytes:
        from outpace.codegen.mpi.drafts import mpi_drafts  # noqa: PLC0415  (lifts the reference)
        from outpace.codegen.mpi.local import default_kernel  # noqa: PLC0415

        kernel = default_kernel(self._reference, strict=True)
        return codec.encode(mpi_drafts(self._reference, kernel, self._ranks)[0])

    def _warn(self, message: str) -> None:
        if self._comm.Get_rank() == 0:
            warnings.warn(message, PromotionWarning, stacklevel=2)

    # --- Loading --------------------------------------------------------------------------------

    def _loaded(self, variant: Variant) -> Kernel:
        """The program on this rank: rank 0 builds it, and the others find the build.

        Raises:
            EnvironmentError_: It could not be loaded on some rank; on every rank.
        """
        load = partial(builds.load_promoted, variant, self._contract)
        is_first = self._comm.Get_rank() == 0
        kernel, problem = attempted(load) if is_first else (None, None)
        problem = self._comm.bcast(problem, root=0)
        if not is_first and problem is None:
            kernel, problem = attempted(load)
        problems = self._comm.allgather(problem)
        for rank, found in enumerate(problems):
            if found is not None:
                raise EnvironmentError_(f"it cannot be loaded on rank {rank}: {found}")
        assert kernel is not None
        if runs_threads(variant):
            GUARD.threads_will_run()
        return kernel


def on_grid(draft: Draft, grid: Mapping[str, int]) -> Variant:
    """A plan-made draft with this process grid, and the first value of every other parameter."""
    params = {p.name: p.values[0] for p in draft.parameters}
    cut = {f"GRID_{dim.upper()}": parts for dim, parts in grid.items()}
    return Variant(draft, {name: cut.get(name, value) for name, value in params.items()})


def tune_command(reference: Reference, ranks: int) -> str:
    """What makes a promotion for so many ranks."""
    return f"outpace tune {_spec(reference)} --language mpi --ranks {ranks}"


def _unfit(reference: Reference) -> str | None:
    """Why a reference cannot be spread over ranks, or None."""
    if grid_dims(reference.contract):
        return None
    dims = reference.contract.dims
    return (
        f"{reference.name} does not say how it may be cut over ranks; add split= to its "
        f'decorator, such as split={{"{dims[0] if dims else "y"}": Block(halo=1)}}, and let '
        f"`outpace check-annotation {_spec(reference)}` prove it"
    )


def _offers(reference: Reference, ranks: int) -> tuple[list[StoredPromotion], list[str]]:
    """Promotions that may run on so many ranks, and why others do not."""
    stored, ignored = promotions.search(reference)
    for why in ignored:
        warnings.warn(f"promotion ignored: {why}", PromotionWarning, stacklevel=2)
    offered, refusals = [], [f"a promotion is ignored: {why}" for why in ignored]
    for one in stored:
        promotion = one.promotion
        reason = unsuitable(reference, promotion, ranks) or _without_grid(reference, promotion)
        if reason is None:
            offered.append(one)
            changes = differences(promotion)
            if changes:
                text = f"it was made with other tools ({'; '.join(changes)}); tune again"
                warnings.warn(f"promotion {one.path}: {text}", PromotionWarning, stacklevel=2)
        elif promotion.variant.draft.language == "mpi":
            refusals.append(f"promotion {one.path} does not run: {reason}")
    return offered, refusals


def _without_grid(reference: Reference, promotion: Promotion) -> str | None:
    variant, ranks = promotion.variant, promotion.key.ranks
    try:
        for evidence in promotion.evidence:
            sizes = evidence.workload.sizes
            grid_of(variant.draft.flags, variant.params, reference.contract, sizes, ranks)
    except DraftError as error:
        return str(error)
    return None


def _without_promotion(reference: Reference, ranks: int, why: str) -> str:
    return (
        f"{reference.name} on {ranks} rank{'s' * (ranks > 1)}: {why}; the default plan runs, which "
        "takes the annotation at its word (`outpace check-annotation` proves it); "
        f"`{tune_command(reference, ranks)}` makes a promotion"
    )


def _spec(reference: Reference) -> str:
    file = reference.file
    return reference.name if file is None else f"{file.name}:{reference.written.__qualname__}"
