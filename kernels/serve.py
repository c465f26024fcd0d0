"""Serving: which promotion runs for a call, or why the reference does."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from outpace.codegen.abi import as_results, bind_sizes, output_shapes, slots
from outpace.codegen.contract import size_names
from outpace.codegen.dims import bind_shapes
from outpace.codegen.reference import Reference
from outpace.codegen.structured import put_together, taken_apart
from outpace.errors import ContractError
from outpace.kernels import builds, promotions, sampling, target, usage
from outpace.kernels.adopting import adopted, adopting
from outpace.kernels.arguments import (
    Array,
    Unfit,
    check_out,
    check_out_shapes,
    fit_arguments,
    refuse_overlap,
)
from outpace.kernels.dispatcher import Dispatcher, Entry, Key, Returns, generate, is_size
from outpace.kernels.forking import GUARD
from outpace.kernels.languages.base import Kernel
from outpace.kernels.nearness import nearest, usable
from outpace.kernels.promotions import PromotionWarning, StoredPromotion
from outpace.kernels.unpacking import adopting_fields, declined, unpacking
from outpace.model import Contract, Evidence, Promotion, Variant

if TYPE_CHECKING:
    from outpace.kernels.gpu.serving import DeviceServer

_KNOWN_SIZES = 1024
"""Decisions kept per function; a loop over ever new sizes starts over rather than grows."""
_THREAD_MARKS = ("parallel", "thread", "pragma", "##", "%:%:", "??", "\\\n")
"""Substrings of `omp parallel`, `njit(parallel=...)`, pthreads, C11 threads and `threading`; and of
what C can put such words together from: pasted tokens, in all spellings, and split lines."""


@dataclass(frozen=True)
class Explanation:
    """Which code a call runs, and why; `str()` of it is for people.

    Attributes:
        promotion: Folder of the promotion that is served, or None for the reference.
        reason: One sentence.
        notes: Versions recorded with the promotion, and where this process differs.
    """

    promotion: Path | None
    reason: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        served = "reference" if self.promotion is None else f"promotion {self.promotion}"
        return "\n    ".join([f"{served}: {self.reason}", *self.notes])


@dataclass(frozen=True)
class Served:
    """A promotion whose kernel is loaded."""

    stored: StoredPromotion
    kernel: Kernel
    threaded: bool

    @property
    def promotion(self) -> Promotion:
        """The stored value."""
        return self.stored.promotion


@dataclass(frozen=True)
class Offer:
    """What can be served at all, decided once; `refusals` says why other promotions are not."""

    served: tuple[Served, ...] = ()
    refusals: tuple[str, ...] = ()
    on_gpu: tuple[StoredPromotion, ...] = ()
    """Of arrays on a GPU; loaded when they are first called."""


DISABLED = Offer(refusals=("OUTPACE_DISABLE is set",))


class Server:
    """Serves one reference from the promotions it was offered.

    Attributes:
        fast: Takes positional arguments; runs a kernel or the reference.
    """

    def __init__(self, reference: Reference, offer: Offer) -> None:
        self.reference = reference
        self.contract = reference.contract
        self._offer = self._with_checks(offer)
        self._known: dict[Key, Entry] = {}
        self._returns = returns_of(reference)
        self._signature = inspect.signature(reference.written)
        self._on_gpu: DeviceServer | None = None
        if offer.on_gpu:
            from outpace.kernels.gpu.serving import DeviceServer  # noqa: PLC0415  (few need it)

            self._on_gpu = DeviceServer(reference, offer.on_gpu)
        slow = declined if reference.structures else self._slow
        self._dispatcher: Dispatcher = generate(
            self.contract, self._returns, self._known, self._decide, slow
        )
        self.fast: Callable[..., Any] = self._fast_path()
        GUARD.watch(self)

    def _fast_path(self) -> Callable[..., Any]:
        reference, dispatch = self.reference, self._dispatcher.fast
        if self._on_gpu is not None and not self._offer.served:
            return lambda *args: self._slow(args, {}, None)
        if not self._offer.served and reference.structures:
            return adopting_fields(reference, self._slow)
        if not self._offer.served:
            return adopting(self.contract, reference.fn)
        return unpacking(reference, dispatch, self._slow) if reference.structures else dispatch

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        """A call with keywords or with `out=`.

        Raises:
            ContractError: `out` cannot take the results, or see `adopted`.
        """
        if kwargs or out is None or not self._offer.served or self.reference.structures:
            return self._slow(args, kwargs, out)
        return self._dispatcher.into(args, out)

    def explain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Explanation:
        """Which code this call would run.

        Raises:
            TypeError: The arguments do not bind to the signature.
            ContractError: See `adopted`.
        """
        _, values = self._bind(args, kwargs)
        if self._on_gpu is not None and self._on_gpu.takes(values):
            return _explained(self._on_gpu, values)
        if not self._offer.served:
            return Explanation(None, "; ".join(self._offer.refusals))
        try:
            fitted = fit_arguments(self.contract, values)
            refuse_overlap(self.contract, fitted, ())
            served, evidence = self._select(self._sizes(self._key(fitted)))
        except Unfit as reason:
            return Explanation(None, str(reason))
        return _explanation(served.stored, evidence)

    def forget(self) -> None:
        """Drop the decisions for known sizes (in a forked child)."""
        self._known.clear()

    def demote(self, stored: StoredPromotion, why: str) -> None:
        """Serve a promotion no more in this process, and warn."""
        with GUARD.lock:
            kept = tuple(s for s in self._offer.served if s.stored is not stored)
            reason = f"promotion {stored.path} is served no more: {why}"
            self._offer = Offer(kept, (*self._offer.refusals, reason))
            self._known.clear()
        _warn(stored, f"{why}; this process serves it no more")

    def _with_checks(self, offer: Offer) -> Offer:
        """The same, with a share of the calls checked where OUTPACE_VERIFY asks for it."""
        checks = sampling.sampler()
        if not checks.share:
            return offer
        served = [
            replace(
                one,
                kernel=checks.sampled(
                    self.reference, one.stored, one.kernel, partial(self.demote, one.stored)
                ),
            )
            for one in offer.served
        ]
        return replace(offer, served=tuple(served))

    def _slow(self, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        """Any call that is not plain."""
        try:
            bound, values = self._bind(args, kwargs)
        except TypeError:
            return self.reference.written(*args, **kwargs)  # raises what people know from Python
        args, kwargs = bound.args, bound.kwargs
        if self._on_gpu is not None and self._on_gpu.takes(values):
            return self._run_on_gpu(self._on_gpu, bound, values, out)
        given = None if out is None else check_out(self.contract, out, self._returns.is_tuple)
        if given is not None:
            check_out_shapes(self.contract, given, bind_sizes(self.contract, values))
        try:
            fitted = fit_arguments(self.contract, values)
            refuse_overlap(self.contract, fitted, given or ())
            entry = self._entry(self._key(fitted))
        except Unfit:
            entry = ()
        if not entry:
            return self._by_reference(args, kwargs, values, out, given)
        kernel, *shapes = entry
        outputs = given or [
            np.empty(shape, o.dtype) for shape, o in zip(shapes, self.contract.outputs, strict=True)
        ]
        kernel(*fitted, *outputs)
        return returned(self.contract, self._returns, outputs) if out is None else out

    def _run_on_gpu(
        self,
        server: DeviceServer,
        bound: inspect.BoundArguments,
        values: Mapping[str, Any],
        out: Any,
    ) -> Any:
        """A call with arrays on a GPU: by a promotion, else by the reference as it is."""
        wanted = out if out is None or self._returns.is_tuple else (out,)
        try:
            outputs = server.run(values, wanted)
        except Unfit as reason:
            if out is not None:
                raise ContractError(f"out= needs a promotion for this call: {reason}") from reason
            return self.reference.written(*bound.args, **bound.kwargs)
        return returned(self.contract, self._returns, outputs) if out is None else out

    def _by_reference(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        values: Mapping[str, Any],
        out: Any,
        given: list[Array] | None,
    ) -> Any:
        if given is None:
            return self.reference.written(*args, **kwargs)
        sizes = bind_sizes(self.contract, values)
        returned = self.reference.written(*args, **kwargs)
        for array, result in zip(given, as_results(self.contract, returned, sizes), strict=True):
            np.copyto(array, result)
        return out

    def _bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[inspect.BoundArguments, dict[str, Any]]:
        """Arguments as the function takes them, and as its contract does."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        structures = self.reference.structures
        given = taken_apart(structures, bound.arguments)
        values = {a.name: adopted(a, given[a.name]) for a in self.contract.arguments}
        if any(value is not given[name] for name, value in values.items()):
            bound.arguments.update(put_together(structures, values))
        return bound, values

    # --- Decisions ------------------------------------------------------------------------------

    def _key(self, fitted: Sequence[Any]) -> Key:
        pairs = list(zip(self.contract.arguments, fitted, is_size(self.contract), strict=True))
        shapes = [value.shape for a, value, _ in pairs if a.is_array]
        return (*shapes, *(value for _, value, size in pairs if size))

    def _entry(self, key: Key) -> Entry:
        entry = self._known.get(key)
        return self._decide(key) if entry is None else entry

    def _decide(self, key: Key) -> Entry:
        """Choose for sizes that were not met before, and remember."""
        with GUARD.lock:  # `demote` must not come in between
            try:
                sizes = self._sizes(key)
                served, _ = self._select(sizes)
            except Unfit:
                entry: Entry = ()
            else:
                if served.threaded:
                    GUARD.threads_will_run()
                usage.record(served.stored, sizes)
                entry = (served.kernel, *output_shapes(self.contract, sizes))
            if len(self._known) >= _KNOWN_SIZES:
                self._known.clear()
            self._known[key] = entry
        return entry

    def _sizes(self, key: Key) -> dict[str, int]:
        arrays = [a for a in self.contract.arguments if a.is_array]
        integers = [
            a.name
            for a, size in zip(self.contract.arguments, is_size(self.contract), strict=True)
            if size
        ]
        shapes = [(a.name, a.dims or (), n) for a, n in zip(arrays, key, strict=False)]
        try:
            bound = bind_shapes(shapes, dict(zip(integers, key[len(arrays) :], strict=True)))
            return {name: bound[name] for name in size_names(self.contract)}
        except ContractError as error:
            raise Unfit(str(error)) from error

    def _select(self, sizes: Mapping[str, int]) -> tuple[Served, Evidence]:
        """The promotion confirmed on the workload nearest to these sizes, of several the newest.

        Raises:
            Unfit: There is none.
        """
        found = usable(self.contract, self._offer.served, sizes)
        if GUARD.threads_lost:
            found = [pair for pair in found if not pair[0].threaded]
        if not found:
            raise Unfit("this process was forked from one that had run a threaded kernel")
        return nearest(found, sizes)


# --- What can be served -------------------------------------------------------------------------


def find_offer(reference: Reference) -> Offer:
    """Load every promotion for this source on this machine; warns about those that fail.

    Raises:
        ContractError: The annotation of the reference is missing or wrong.
    """
    stored, ignored = promotions.search(reference)
    for why in ignored:
        warnings.warn(f"promotion ignored: {why}", PromotionWarning, stacklevel=2)
    if not stored and not ignored:
        searched = " or in ".join(str(folder) for folder in promotions.folders_of(reference))
        return Offer(refusals=(f"there is no promotion in {searched}; `outpace tune` makes one",))
    served, refusals = [], [f"a promotion is ignored: {why}" for why in ignored]
    on_gpu: list[StoredPromotion] = []
    for candidate in stored:
        if candidate.promotion.key.layout == promotions.ON_GPU:
            reason = unsuitable(reference.on_gpu(), candidate.promotion)
            on_gpu += [candidate] if reason is None else []
        elif (reason := unsuitable(reference, candidate.promotion)) is None:
            try:
                served.append(_load(reference, candidate))
            except Exception as error:  # noqa: BLE001  (a draft may raise anything)
                reason = f"it cannot be loaded: {type(error).__name__}: {error}"
                _warn(candidate, f"{reason}; the reference is served")
        if reason is not None:
            refusals.append(f"promotion {candidate.path} is not served: {reason}")
    if on_gpu and not served:
        refusals.append("the promotions for this machine are for arrays on a GPU")
    return Offer(tuple(served), tuple(refusals), tuple(on_gpu))


def unsuitable(reference: Reference, promotion: Promotion, ranks: int | None = None) -> str | None:
    """Why a promotion does not hold for this source in this process, or None.

    Args:
        reference: The function as it is now.
        promotion: Made for it.
        ranks: Of the job over which the function is spread; None for a call in one process.
    """
    workloads = [evidence.workload for evidence in promotion.evidence]
    try:
        key = promotions.key_for(reference, target.hardware(), workloads, ranks)
    except ContractError as error:  # the source cannot be read, so nothing is known to match it
        return str(error)
    if promotion.key.source_hash != key.source_hash:
        return "the source of the function has changed since; tune again"
    if promotion.key.target != key.target:
        there = promotion.target
        return f"it was made on another machine ({there.cpu}, {there.cores} cores)"
    if (reason := _other_ranks(promotion, ranks)) is not None:
        return reason
    if promotion.key != key or slots(promotion.contract) != slots(reference.contract):
        return "the contract of the function has changed since; tune again"
    return None


def _other_ranks(promotion: Promotion, ranks: int | None) -> str | None:
    if promotion.key.ranks != (ranks or 1):
        return f"it is for {promotion.key.ranks} ranks"
    is_spread = promotion.variant.draft.language == "mpi"
    if is_spread and ranks is None:
        return "it is a program for MPI ranks"
    return None if is_spread or ranks is None else "it is no program for MPI ranks"


def _load(reference: Reference, stored: StoredPromotion) -> Served:
    variant = stored.promotion.variant
    kernel = builds.load_promoted(variant, reference.contract)
    changes = differences(stored.promotion)
    if changes:
        _warn(stored, f"it was made with other tools ({'; '.join(changes)}); tune again")
    return Served(stored, kernel, runs_threads(variant))


def runs_threads(variant: Variant) -> bool:
    """Whether a kernel may start threads; errs towards yes, which costs a forked child its speed
    and nothing else."""  # noqa: D205, D209
    source = variant.draft.source.lower()
    return bool(variant.draft.flags.get("parallel")) or any(m in source for m in _THREAD_MARKS)


def differences(promotion: Promotion) -> list[str]:
    """Tools of the promotion's language that have another version here.

    One that is absent has had no part: what it makes was built elsewhere.
    """
    recorded = promotion.target.versions
    names = [n for n in target.toolchain(promotion.variant.draft.language) if n in recorded]
    if not names:
        return []
    here = target.current_target().versions
    return [
        f"{n} {recorded[n]}, here {here[n]}"
        for n in names
        if here.get(n, recorded[n]) != recorded[n]
    ]


def _warn(stored: StoredPromotion, message: str) -> None:
    warnings.warn(f"promotion {stored.path}: {message}", PromotionWarning, stacklevel=2)


def returns_of(reference: Reference) -> Returns:
    """Form of the return value, from its annotation."""
    hint = typing.get_type_hints(reference.fn, include_extras=True)["return"]
    is_tuple = typing.get_origin(hint) is tuple
    parts = typing.get_args(hint) if is_tuple else (hint,)
    python = tuple(part in (bool, int, float, complex) for part in parts)
    return Returns(is_tuple, python if reference.contract.outputs else ())


def returned(contract: Contract, returns: Returns, outputs: Sequence[Array]) -> Any:
    """The output arrays of a kernel as the function would return them."""
    parts = [
        (array.item() if python else array[0]) if output.scalar else array
        for array, output, python in zip(
            outputs, contract.outputs, returns.python_scalar, strict=True
        )
    ]
    if returns.is_tuple:
        return tuple(parts)
    return parts[0] if parts else None


def _explained(server: DeviceServer, values: Mapping[str, Any]) -> Explanation:
    try:
        stored, evidence = server.select(values)
    except Unfit as reason:
        return Explanation(None, str(reason))
    return _explanation(stored, evidence)


def _explanation(stored: StoredPromotion, evidence: Evidence) -> Explanation:
    promotion, speedup = stored.promotion, evidence.speedup
    recorded = ", ".join(f"{n} {v}" for n, v in sorted(promotion.target.versions.items()))
    notes = [f"made with {recorded}"] if recorded else []
    notes += [f"made with {difference}" for difference in differences(promotion)]
    if evidence.roofline is not None:
        from outpace.kernels.gpu.roofline import described  # noqa: PLC0415  (few need it)

        notes.append(described(evidence.roofline))
    return Explanation(
        stored.path,
        f"{promotion.variant.label}, {speedup.median:.1f}x "
        f"[{speedup.low:.1f}, {speedup.high:.1f}] on workload {evidence.workload.name}",
        tuple(notes),
    )
