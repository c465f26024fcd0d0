"""Collectives on objects, which travel pickled: mpi4py's lower-case names."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from outpace.tuner.simcomm.collectives import SUM, Collectives
from outpace.tuner.simcomm.joining import Exchange, Pattern
from outpace.tuner.simcomm.operations import Op

Combine = Callable[[list[Any]], Sequence[Any]]


class ObjectCollectives(Collectives):
    """The collectives of a communicator that work on objects."""

    def barrier(self) -> None:
        self.Barrier()

    def bcast(self, obj: Any, root: int = 0) -> Any:
        self._check_root(root)
        give = pickle.dumps(obj) if self._rank == root else None

        def combine(gives: list[Any]) -> Sequence[Any]:
            return [None if i == root else gives[root] for i in range(len(gives))]

        got = self._meet("bcast", Pattern.TREE, give, combine, {"root": root})
        return obj if self._rank == root else pickle.loads(got)  # noqa: S301

    def gather(self, sendobj: Any, root: int = 0) -> list[Any] | None:
        self._check_root(root)

        def combine(gives: list[Any]) -> Sequence[Any]:
            return [gives if i == root else None for i in range(len(gives))]

        give = pickle.dumps(sendobj)
        return _loaded(self._meet("gather", Pattern.SPREAD, give, combine, {"root": root}))

    def allgather(self, sendobj: Any) -> list[Any] | None:
        def combine(gives: list[Any]) -> Sequence[Any]:
            return [gives] * len(gives)

        return _loaded(self._meet("allgather", Pattern.SPREAD, pickle.dumps(sendobj), combine))

    def scatter(self, sendobj: Sequence[Any] | None, root: int = 0) -> Any:
        self._check_root(root)
        give = self._pickled(sendobj) if self._rank == root else None

        def combine(gives: list[Any]) -> Sequence[Any]:
            return [[piece] for piece in gives[root]]

        got = self._meet("scatter", Pattern.SPREAD, give, combine, {"root": root}, [root])
        return pickle.loads(got[0])  # noqa: S301

    def alltoall(self, sendobj: Sequence[Any]) -> list[Any] | None:
        def combine(gives: list[Any]) -> Sequence[Any]:
            return [[give[i] for give in gives] for i in range(len(gives))]

        return _loaded(self._meet("alltoall", Pattern.PAIRS, self._pickled(sendobj), combine))

    def reduce(self, sendobj: Any, op: Op = SUM, root: int = 0) -> Any:
        self._check_root(root)

        def combine(gives: list[Any]) -> Sequence[Any]:
            whole = self._folded(gives, op)
            return [whole if i == root else None for i in range(len(gives))]

        give = pickle.dumps(sendobj)
        got = self._meet("reduce", Pattern.TREE, give, combine, {"op": str(op), "root": root})
        return None if got is None else pickle.loads(got)  # noqa: S301

    def allreduce(self, sendobj: Any, op: Op = SUM) -> Any:
        def combine(gives: list[Any]) -> Sequence[Any]:
            return [self._folded(gives, op)] * len(gives)

        got = self._meet(
            "allreduce", Pattern.TWICE, pickle.dumps(sendobj), combine, {"op": str(op)}
        )
        return pickle.loads(got)  # noqa: S301

    def scan(self, sendobj: Any, op: Op = SUM) -> Any:
        def combine(gives: list[Any]) -> Sequence[Any]:
            return [self._folded(gives[: i + 1], op, shuffled=False) for i in range(len(gives))]

        got = self._meet("scan", Pattern.TREE, pickle.dumps(sendobj), combine, {"op": str(op)})
        return pickle.loads(got)  # noqa: S301

    def exscan(self, sendobj: Any, op: Op = SUM) -> Any:
        def combine(gives: list[Any]) -> Sequence[Any]:
            rest = (self._folded(gives[:i], op, shuffled=False) for i in range(1, len(gives)))
            return [None, *rest]

        got = self._meet("exscan", Pattern.TREE, pickle.dumps(sendobj), combine, {"op": str(op)})
        return None if got is None else pickle.loads(got)  # noqa: S301

    def _meet(
        self,
        name: str,
        pattern: Pattern,
        give: Any,
        combine: Combine,
        agree: dict[str, object] | None = None,
        sources: Sequence[int] | None = None,
    ) -> Any:
        """What this rank gets, still pickled."""
        exchange = Exchange(
            name, pattern, give, combine, lambda got: got, agree or {}, sources=sources
        )
        return self.complete(name, lambda: exchange)

    def _folded(self, gives: list[bytes], op: Op, *, shuffled: bool = True) -> bytes:
        values = [pickle.loads(give) for give in gives]  # noqa: S301
        random = self._simulation.random if shuffled else None
        return pickle.dumps(op.fold_objects(values, random))

    def _pickled(self, pieces: Sequence[Any] | None) -> list[bytes]:
        """Every rank's piece; as in mpi4py a ValueError where their number is wrong."""
        if pieces is None or len(pieces) != self.size:
            got = "none" if pieces is None else str(len(pieces))
            raise ValueError(f"expecting {self.size} items, got {got}")
        return [pickle.dumps(piece) for piece in pieces]

    def _check_root(self, root: int) -> None:
        if not 0 <= root < self.size:
            self.enter(f"a collective with root={root}")
            self.reject(f"root {root} is no rank of a communicator of {self.size}")


def _loaded(pickles: list[bytes] | None) -> list[Any] | None:
    return None if pickles is None else [pickle.loads(item) for item in pickles]  # noqa: S301
