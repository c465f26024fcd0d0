"""Rows of an array that other ranks own: round a ring, or in one collective."""

from typing import Any

from outpace.codegen.mpi.templates.exchange import Array
from outpace.codegen.mpi.templates.geometry import blocks


class Rows:
    """Own rows of a dim, and how the others are had."""

    def __init__(self, comm: Any, extent: int, mode: str) -> None:
        self.comm, self.mode = comm, mode
        self.blocks = blocks(extent, comm.Get_size())
        self.first, self.end = self.blocks[comm.Get_rank()]

    def exchange(self, array: Array) -> None:
        """Fill in the rows of an array that other ranks own."""
        if self.mode == "ring":
            self._pass_round(array)
        elif self.mode == "nonblocking":
            self._send_to_all(array)
        else:
            width = array[:1].size if array.shape[0] else 0
            counts = [(end - start) * width for start, end in self.blocks]
            starts = [start * width for start, _ in self.blocks]
            own = array[self.first : self.end].copy()
            self.comm.Allgatherv(own, [array, (counts, starts)])

    def _pass_round(self, array: Array) -> None:
        """Every rank hands on to the next what it got from the one before."""
        ranks, rank = self.comm.Get_size(), self.comm.Get_rank()
        for step in range(ranks - 1):
            start, end = self.blocks[(rank - step) % ranks]
            first, last = self.blocks[(rank - step - 1) % ranks]
            self.comm.Sendrecv(
                array[start:end], (rank + 1) % ranks, step,
                array[first:last], (rank - 1) % ranks, step,
            )  # fmt: skip

    def _send_to_all(self, array: Array) -> None:
        rank = self.comm.Get_rank()
        others = [peer for peer in range(self.comm.Get_size()) if peer != rank]
        own = array[self.first : self.end]
        requests = [
            *(self.comm.Irecv(array[slice(*self.blocks[peer])], source=peer) for peer in others),
            *(self.comm.Isend(own, dest=peer) for peer in others),
        ]
        for request in requests:
            request.Wait()
