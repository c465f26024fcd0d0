"""A simulated communicator: mpi4py's API on threads, one running at a time, and what is wrong."""

from outpace.tuner.simcomm.engine import Options
from outpace.tuner.simcomm.faults import Fault
from outpace.tuner.simcomm.module import installed
from outpace.tuner.simcomm.run import Outcome, RankCounts, run_ranks

__all__ = ["Fault", "Options", "Outcome", "RankCounts", "installed", "run_ranks"]
