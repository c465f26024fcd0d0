"""`@outpace.optimize`: a reference that runs its promotion where there is one."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from outpace import environment
from outpace.codegen.reference import Inputs, Reference, ReferenceOptions
from outpace.errors import ContractError
from outpace.kernels.forking import GUARD
from outpace.model import Tolerance
from outpace.split import Reduced, Split

if TYPE_CHECKING:
    from outpace.kernels.distribute import Distributed
    from outpace.kernels.serve import Explanation, Server

R = TypeVar("R")


class OptimizedFunction(Generic[R]):
    """A plain function that runs its promotion for the sizes, dtypes and machine at hand.

    Calling it never tunes. Promotions are looked for at the first call; until then nothing is
    parsed and nothing heavy is imported. Whatever a promotion was not confirmed for runs the
    reference. It pickles by name, as functions do.

    OUTPACE_DISABLE is read at the first call and at the first call after `reload()`: set before
    that, in the shell or by the program, it makes every call run the reference; a later change has
    no effect.

    Attributes:
        reference: The function as written, with its contract.
    """

    __wrapped__: Callable[..., R]

    def __init__(self, reference: Reference) -> None:
        functools.update_wrapper(self, reference.written)
        self.reference = reference
        code = reference.written.__code__
        self._takes_out = "out" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self._fast: Callable[..., R] = self._first_call
        self._server: Server | None = None

    def __call__(self, /, *args: Any, out: Any = None, **kwargs: Any) -> R:
        """Call the promotion or the reference.

        Args:
            *args: As the reference takes them.
            out: C-contiguous array for the result, or a tuple of arrays for several; a scalar
                result needs shape (1,). It is what the call returns. A reference that has an
                argument of this name gets it instead.
            **kwargs: As the reference takes them.

        Raises:
            ContractError: The annotation is missing or wrong, or `out` cannot take the result.
        """
        if out is None and not kwargs:
            return self._fast(*args)
        if out is not None and self._takes_out:
            kwargs["out"], out = out, None
        self._settle()
        if out is None and self._server is None:
            return self.reference.written(*args, **kwargs)  # type: ignore[no-any-return]
        return self._serving().call(args, kwargs, out)  # type: ignore[no-any-return]

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Which code a call with these arguments runs, and why; runs neither.

        Raises:
            TypeError: The arguments do not bind to the signature.
            ContractError: The annotation is missing or wrong.
        """
        return self._serving().explain(args, kwargs)

    def distribute(self, comm: Any) -> Distributed:
        """The same function for arrays that are cut over the ranks of an MPI job.

        All ranks call it together. It runs the promotion for this number of ranks, or, with a
        warning on rank 0, the default plan; calls of the function itself are as before. With
        OUTPACE_DISABLE on any rank, rank 0 gathers the arguments and runs the reference.

        Args:
            comm: A communicator of mpi4py, or one of `outpace.tuner.simcomm`. It is duplicated.

        Raises:
            ContractError: The contract has no `split`, or ranks have other sources.
        """
        from outpace.kernels.distribute import Distributed  # noqa: PLC0415

        return Distributed(self.reference, comm)

    def reload(self) -> None:
        """Look for promotions again at the next call."""
        with GUARD.lock:
            self._server = None
            self._fast = self._first_call

    def _first_call(self, *args: Any) -> R:
        self._settle()
        return self._fast(*args)

    def _settle(self) -> None:
        """Find out once what can be served; threads that come meanwhile wait."""
        if not self._is_first_call():
            return
        with GUARD.lock:
            if not self._is_first_call():
                return
            if environment.disabled():
                self._fast = self.reference.written
            else:
                from outpace.kernels.serve import Server, find_offer  # noqa: PLC0415

                self._server = Server(self.reference, find_offer(self.reference))
                self._fast = self._server.fast

    def _is_first_call(self) -> bool:
        return self._fast == self._first_call

    def _serving(self) -> Server:
        """The server; where promotions are switched off, one that offers none."""
        self._settle()
        if self._server is not None:
            return self._server
        from outpace.kernels.serve import DISABLED, Server  # noqa: PLC0415

        return Server(self.reference, DISABLED)

    def __repr__(self) -> str:
        return f"<optimized function {self.reference.name}>"

    def __reduce__(self) -> str:
        return self.reference.written.__qualname__


def optimize(
    *,
    workloads: Mapping[str, Mapping[str, float]],
    inputs: Inputs | None = None,
    mutates: Sequence[str] = (),
    where: str | None = None,
    reduction: str | None = None,
    tolerance: float | Tolerance | None = None,
    reproducible: bool = False,
    split: Mapping[str, Split] | None = None,
    steps: str | None = None,
    reduce: Mapping[str, Reduced] | None = None,
) -> Callable[[Callable[..., R]], OptimizedFunction[R]]:
    """Declare a function as a reference, and run its promotions where it is called.

    Shapes and dtypes are jaxtyping annotations, `u: Float64[np.ndarray, "y x"]`; scalars are `int`,
    `float`, `complex` or `bool`. Nothing is parsed before the first call.

    Args:
        workloads: By name, the sizes that count: every dim and every int argument.
        inputs: A distribution per argument, or a callable `(sizes, rng) -> dict` of values.
        mutates: Names of the array arguments that are written in place.
        where: Python expression over dims and int arguments that limits the domain.
        reduction: Expression for the number of terms that are summed into one result.
        tolerance: A relative tolerance, or a `Tolerance`, instead of the derived acceptance rule.
        reproducible: Forbid reassociation of sums.
        split: Dims that may be cut over ranks, each as a `Block`, `Ring` or `Pencil`; `Replicated`
            says that a dim stays whole. `outpace check-annotation` proves it.
        steps: Name of the int argument that counts time steps: the halo of a `Block` is that of
            one step.
        reduce: By name (`out`, or `out0`, `out1` of a tuple), outputs that are reductions over the
            dims that are cut.

    Returns:
        A decorator that gives an `OptimizedFunction`.
    """
    options = ReferenceOptions(
        workloads,
        inputs,
        mutates,
        where,
        reduction,
        tolerance,
        reproducible,
        split,
        steps,
        reduce,
    )

    def decorate(fn: Callable[..., R]) -> OptimizedFunction[R]:
        return OptimizedFunction(Reference(_plain(fn), options))

    return decorate


def reference(
    fn: Callable[..., R],
    *,
    workloads: Mapping[str, Mapping[str, float]],
    inputs: Inputs | None = None,
    mutates: Sequence[str] = (),
    where: str | None = None,
    reduction: str | None = None,
    tolerance: float | Tolerance | None = None,
    reproducible: bool = False,
    split: Mapping[str, Split] | None = None,
    steps: str | None = None,
    reduce: Mapping[str, Reduced] | None = None,
) -> OptimizedFunction[R]:
    """The same as `optimize`, for a function that one does not own; `fn` stays as it is."""
    return optimize(
        workloads=workloads,
        inputs=inputs,
        mutates=mutates,
        where=where,
        reduction=reduction,
        tolerance=tolerance,
        reproducible=reproducible,
        split=split,
        steps=steps,
        reduce=reduce,
    )(fn)


def _plain(fn: Callable[..., R]) -> Callable[..., R]:
    """The function itself; raises ContractError unless it is a plain one."""
    if isinstance(fn, types.FunctionType):
        return fn
    if isinstance(fn, OptimizedFunction):
        raise ContractError(f"{fn.reference.name} is optimized already; decorate it once")
    raise ContractError(
        f"{fn!r} is a {type(fn).__name__}, not a plain Python function; "
        "give the function that it wraps"
    )
