"""A variant whose processes take arrays on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from outpace.codegen.reference import Reference
from outpace.model import Contract, Residence
from outpace.tuner.contenders import Batches, Contender, Runner
from outpace.tuner.gpu.process import DeviceWorker
from outpace.tuner.process import capacity_for


@dataclass(frozen=True)
class DeviceContender(Contender):
    """As `Contender`, with arrays on the GPU."""

    def start(self, contract: Contract, batches: Batches) -> Runner:
        """A fresh process that runs it; arguments and exceptions are those of `Contender`."""
        capacity = capacity_for(contract, batches)
        return DeviceWorker(contract, self.folder, capacity, variant=self.variant)


def contender_of(reference: Reference) -> type[Contender]:
    """What variants of a reference compete as: where its arrays lie decides."""
    return DeviceContender if reference.residence is Residence.DEVICE else Contender
