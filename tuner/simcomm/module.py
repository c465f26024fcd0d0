"""The modules `mpi4py` and `mpi4py.MPI` as a simulated program imports them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from outpace.tuner.simcomm import buffers, communicators, datatypes, status
from outpace.tuner.simcomm.communicators import Cartcomm, Comm, Distgraphcomm
from outpace.tuner.simcomm.engine import current
from outpace.tuner.simcomm.matching import Message
from outpace.tuner.simcomm.operations import OPERATIONS, Op
from outpace.tuner.simcomm.requests import Prequest, Request
from outpace.tuner.simcomm.topologies import compute_dims
from outpace.tuner.simcomm.unsupported import is_mpis, refuse

NAMES = (
    *("mpi4py", "mpi4py.MPI", "mpi4py.rc", "mpi4py.util", "mpi4py.util.dtlib"),
    *("mpi4py.futures", "mpi4py.run", "mpi4py.bench", "mpi4py.util.pkl5", "mpi4py.util.pool"),
)


class MPIError(RuntimeError):
    """`MPI.Exception`: never raised, because faults end the simulation."""

    def Get_error_code(self) -> int:
        return 1

    def Get_error_string(self) -> str:
        return str(self)


class _Settings(ModuleType):
    """`mpi4py.rc`: attributes, which a call sets, too; none changes anything here."""

    def __call__(self, **settings: Any) -> None:
        """Set several."""
        vars(self).update(settings)


class _MPI(ModuleType):
    """`mpi4py.MPI`, whose communicators are those of the rank that asks."""

    def __getattr__(self, name: str) -> Any:
        here = current()
        if not is_mpis(name):
            raise AttributeError(f"module 'mpi4py.MPI' has no attribute {name!r}")
        if name not in ("COMM_WORLD", "COMM_SELF"):
            refuse(f"MPI.{name}")
        if here is None:
            raise RuntimeError(f"MPI.{name} exists only while ranks run")
        world, alone = here[1].communicators
        return world if name == "COMM_WORLD" else alone


class _Package(ModuleType):
    """`mpi4py` itself, and its smaller modules: what is missing is named."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        refuse(f"{self.__name__}.{name}")


def mpi_module() -> ModuleType:
    """A stand-in for `mpi4py.MPI`."""
    module = _MPI("mpi4py.MPI", "Simulated.")
    names: dict[str, Any] = {
        **datatypes.NAMED,
        **OPERATIONS,
        "Comm": Comm,
        "Intracomm": Comm,
        "Cartcomm": Cartcomm,
        "Distgraphcomm": Distgraphcomm,
        "Request": Request,
        "Prequest": Prequest,
        "Message": Message,
        "Status": status.Status,
        "Datatype": datatypes.Datatype,
        "Op": Op,
        "Exception": MPIError,
        "COMM_NULL": communicators.COMM_NULL,
        "COMM_TYPE_SHARED": communicators.COMM_TYPE_SHARED,
        "CART": communicators.CART,
        "DIST_GRAPH": communicators.DIST_GRAPH,
        "REQUEST_NULL": Request(),
        "IN_PLACE": buffers.IN_PLACE,
        "BOTTOM": buffers.BOTTOM,
        "PROC_NULL": status.PROC_NULL,
        "ANY_SOURCE": status.ANY_SOURCE,
        "ANY_TAG": status.ANY_TAG,
        "UNDEFINED": status.UNDEFINED,
        "ORDER_C": datatypes.ORDER_C,
        "ORDER_F": datatypes.ORDER_F,
        "ORDER_FORTRAN": datatypes.ORDER_F,
        **{name: index for index, name in enumerate(_THREAD_LEVELS)},
        "SUCCESS": 0,
        "ERR_OTHER": 15,
        "MAX_PROCESSOR_NAME": 128,
        "BSEND_OVERHEAD": 96,
        **{name: name for name in ("INFO_NULL", "ERRORS_RETURN", "ERRORS_ARE_FATAL")},
        **{function.__name__: function for function in _FUNCTIONS},
        "_typedict": _TypesByCode(),
    }
    for name, value in names.items():
        setattr(module, name, value)
    return module


@contextlib.contextmanager
def installed() -> Iterator[ModuleType]:
    """Put the stand-ins in the place of mpi4py, installed or not, and yield `mpi4py.MPI`."""
    mpi = mpi_module()
    rc = _Settings("mpi4py.rc", "Simulated.")
    rc(initialize=True, finalize=True, threads=True, thread_level="multiple")
    modules: dict[str, Any] = {name: _Package(name, "Simulated.") for name in NAMES}
    modules["mpi4py.MPI"] = mpi
    modules["mpi4py.rc"] = rc
    package, util, dtlib = (modules[n] for n in ("mpi4py", "mpi4py.util", "mpi4py.util.dtlib"))
    package.MPI, package.rc, package.util, util.dtlib = mpi, rc, util, dtlib
    package.__version__ = "4.0.0"
    dtlib.from_numpy_dtype = lambda dtype: datatypes.of_dtype(np.dtype(dtype))
    dtlib.to_numpy_dtype = lambda datatype: datatype.base
    for name in ("mpi4py", "mpi4py.util"):
        modules[name].__path__ = []
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None)
    before = {name: sys.modules.get(name) for name in NAMES}
    sys.modules.update(modules)
    try:
        yield mpi
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


_THREAD_LEVELS = ("THREAD_SINGLE", "THREAD_FUNNELED", "THREAD_SERIALIZED", "THREAD_MULTIPLE")


class _TypesByCode(dict[str, datatypes.Datatype]):
    """Datatypes by NumPy's letters."""

    def __missing__(self, code: str) -> datatypes.Datatype:
        return datatypes.of_dtype(np.dtype(code))


# --- Functions of the module ----------------------------------------------------------------------


def Init() -> None:
    """Everything is ready."""


def Init_thread(required: int = 3) -> int:
    """Every level is provided."""
    return required


def Is_initialized() -> bool:
    """Always."""
    return True


def Is_finalized() -> bool:
    """Whether this rank has called Finalize."""
    here = current()
    return here is not None and here[1].is_finalized


def Finalize() -> None:
    """No more calls; what is left is looked at when every rank has ended."""
    here = current()
    if here is not None:
        here[1].is_finalized = True


def Query_thread() -> int:
    """The highest level."""
    return 3


def Is_thread_main() -> bool:
    """Each rank has one thread."""
    return True


_TICK = 1e-7
"""Virtual seconds by which `Wtime` is later at every look, and nothing else is.

Computing takes no virtual time, and programs divide by what has passed, or wait until it has.
"""


def Wtime() -> float:
    """Virtual seconds of this rank, later at every look."""
    here = current()
    if here is None:
        return 0.0
    simulation, rank = here
    simulation.charge(rank)
    rank.looks += 1
    return rank.clock + _TICK * (rank.looks - 1)


def Wtick() -> float:
    """Resolution of `Wtime` in seconds."""
    return _TICK


def Get_processor_name() -> str:
    """The same for all ranks."""
    return "simulated"


def Get_version() -> tuple[int, int]:
    """Of the standard."""
    return 4, 0


def Get_library_version() -> str:
    """What stands in for a library."""
    return "outpace simulation"


def Compute_dims(nnodes: int, dims: Any) -> list[int]:
    """See `compute_dims`."""
    return compute_dims(nnodes, dims)


def Attach_buffer(buf: Any) -> None:
    """Room for buffered sends."""
    here = current()
    if here is not None:
        here[1].attached = memoryview(buf).nbytes


def Detach_buffer() -> None:
    """Buffered sends have left at once."""
    here = current()
    if here is not None:
        here[1].attached = 0


def Get_address(location: Any) -> int:
    """Of the first byte of an object with a buffer."""
    return int(np.asarray(memoryview(location)).ctypes.data)


_FUNCTIONS = (
    *(Init, Init_thread, Is_initialized, Is_finalized, Finalize, Query_thread, Is_thread_main),
    *(Wtime, Wtick, Get_processor_name, Get_version, Get_library_version, Compute_dims),
    *(Attach_buffer, Detach_buffer, Get_address),
)
