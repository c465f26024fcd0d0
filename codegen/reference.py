"""A `Reference`: the annotated function, its contract, and how a fresh process can load it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from outpace import environment
from outpace.codegen.contract import build_contract
from outpace.codegen.distributions import Distribution
from outpace.codegen.flattening import flat_closure
from outpace.codegen.recorded import Recorded, RecordedInputs
from outpace.codegen.source import SourceClosure, closure_of
from outpace.codegen.structured import (
    FlatFunction,
    Structure,
    flat_inputs,
    flat_name,
    structures_of,
)
from outpace.errors import ContractError, ReferenceError_
from outpace.model import Contract, Residence, Tolerance
from outpace.split import Reduced, Split

InputsCallable = Callable[[dict[str, int], Any], Mapping[str, Any]]
Inputs = Mapping[str, Distribution] | InputsCallable | Recorded


@dataclass(frozen=True)
class ReferenceOptions:
    """What `@outpace.optimize` was given; read only when the contract is first needed."""

    workloads: Mapping[str, Mapping[str, float]]
    inputs: Inputs | None = None
    mutates: Sequence[str] = ()
    where: str | None = None
    reduction: str | None = None
    tolerance: float | Tolerance | None = None
    reproducible: bool = False
    split: Mapping[str, Split] | None = None
    steps: str | None = None
    reduce: Mapping[str, Reduced] | None = None


class Reference:
    """The one numerical truth.

    Attributes:
        written: The plain Python function.
        options: As given by the user.
        name: `module:qualname`, for people and for journals.
        residence: Where the arrays lie that it is called with.
        with_cupy: With arrays on a GPU: whether it runs under CuPy, else with its arrays carried to
            the host and back.
    """

    def __init__(self, fn: Callable[..., Any], options: ReferenceOptions) -> None:
        self.written = fn
        self.options = options
        self.name = f"{fn.__module__}:{fn.__qualname__}"
        self.residence = Residence.HOST
        self.with_cupy = True

    def on_gpu(self) -> Reference:
        """The same, to be called with arrays that are on a GPU."""
        other = Reference(self.written, self.options)
        other.residence = Residence.DEVICE
        return other

    @cached_property
    def structures(self) -> dict[str, Structure]:
        """Arguments that the contract takes as their fields, by name.

        Raises ContractError when one cannot be taken so.
        """
        return structures_of(self.written)

    @cached_property
    def fn(self) -> Callable[..., Any]:
        """The function with the arguments of the contract: as written, if none is a structure."""
        if not self.structures:
            return self.written
        return FlatFunction(self.written, self.structures)

    @cached_property
    def contract(self) -> Contract:
        """The contract; raises ContractError when the annotation is missing or wrong."""
        o = self.options
        mutates = o.mutates
        if not isinstance(mutates, str):
            mutates = [flat_name(self.structures, name) for name in mutates]
        contract = build_contract(
            self.fn,
            workloads=o.workloads,
            mutates=mutates,
            where=o.where,
            reduction=o.reduction,
            tolerance=o.tolerance,
            reproducible=o.reproducible,
            split=o.split,
            steps=None if o.steps is None else flat_name(self.structures, o.steps),
            reduce=o.reduce,
        )
        if isinstance(o.inputs, Mapping):
            _refuse_misfits(self.name, contract, self._distributions(o.inputs))
        return contract

    @cached_property
    def inputs(self) -> Mapping[str, Distribution] | InputsCallable:
        """What values are drawn from; a recording as a callable like the user's own."""
        given = self.options.inputs
        if isinstance(given, Recorded):
            return RecordedInputs(given, self.folder, self.contract)
        if isinstance(given, Mapping):
            return self._distributions(given)
        if given is None:
            return {}
        return flat_inputs(self.structures, given) if self.structures else given

    @cached_property
    def closure(self) -> SourceClosure:
        """The function with its helpers and captured constants; structures as their fields."""
        if not self.structures:
            return closure_of(self.written)
        return flat_closure(self.written, self.structures)

    @property
    def source_hash(self) -> str:
        """Hash of the source closure; a promotion of another source is never served."""
        return self.closure.hash

    @property
    def file(self) -> Path | None:
        """The file that defines the function, or None in a notebook or at a prompt."""
        name = inspect.getfile(self.written)
        return Path(name).resolve() if Path(name).exists() else None

    @property
    def location(self) -> tuple[str, str] | None:
        """File and qualified name under which another process finds the function, or None.

        A function of `__main__` has none: importing a script again would run it again.
        """
        fn = self.written
        if self.file is None or fn.__module__ == "__main__" or "<" in fn.__qualname__:
            return None
        return str(self.file), fn.__qualname__

    def importable(self) -> tuple[str, str]:
        """As `location`, with a standalone copy of the function where it has none."""
        if self.location is not None:
            return self.location
        path = environment.cache_dir() / "references" / f"reference_{self.source_hash}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_suffix(f".{os.getpid()}")
        own.write_text(self.closure.module_text(), encoding="utf-8")
        own.replace(path)  # another process may be reading it
        return str(path), self.written.__name__

    @property
    def folder(self) -> Path:
        """Where promotions of this reference belong: beside its module, else the current one."""
        return self.file.parent if self.file is not None else Path.cwd()

    def _distributions(self, given: Mapping[str, Distribution]) -> dict[str, Distribution]:
        return {flat_name(self.structures, name): chosen for name, chosen in given.items()}


def _refuse_misfits(name: str, contract: Contract, inputs: Mapping[str, Distribution]) -> None:
    dtypes = {a.name: a.dtype for a in contract.arguments}
    for argument, distribution in inputs.items():
        if argument not in dtypes:
            raise ContractError(f"inputs names {argument!r}, which {name} lacks")
        if not isinstance(distribution, Distribution):
            raise ContractError(
                f"inputs of {name} gives {argument!r} as {distribution!r}; write a distribution, "
                "for example Uniform(-1, 1) or Constant(3)"
            )
        misfit = distribution.misfit(dtypes[argument])
        if misfit is not None:
            raise ContractError(
                f"inputs of {name}: {distribution} for {argument!r} ({dtypes[argument]}) {misfit}"
            )


def load_reference(spec: str) -> Reference:
    """Load `FILE.py:fn` or `package.module:fn`.

    Raises:
        ReferenceError_: No such file, module or function, or the module raises.
        ContractError: The function was not given workloads.
    """
    location, _, qualname = spec.rpartition(":")
    if not location or not qualname:
        raise ReferenceError_(f"{spec!r} names no function; write FILE.py:fn or package.module:fn")
    found: Any = load_module(location)
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise ReferenceError_(_no_such_function(location, qualname, found))
        found = getattr(found, part)
    reference = getattr(found, "reference", None)
    if isinstance(reference, Reference):
        return reference
    if isinstance(found, types.FunctionType):
        raise ContractError(
            f"{spec} is not decorated; write `@outpace.optimize(workloads={{...}})` above it, or "
            "`name = outpace.reference(fn, workloads={...})` in a file of your own"
        )
    raise ReferenceError_(f"{spec} is a {type(found).__name__}, not a function")


def load_function(location: str, qualname: str) -> Callable[..., Any]:
    """The function behind a reference, as `Reference.fn`, for a process that only runs it.

    Raises:
        ReferenceError_: See `load_module`.
    """
    found: Any = load_module(location)
    for part in qualname.split("."):
        found = getattr(found, part)
    reference = getattr(found, "reference", None)
    return reference.fn if isinstance(reference, Reference) else found


def load_module(location: str) -> ModuleType:
    """Import a module by dotted name, or by the path of its file.

    Raises:
        ReferenceError_: It does not exist or raises while it is imported.
    """
    path = Path(location)
    is_file = location.endswith(".py")
    if is_file and not path.is_file():
        raise ReferenceError_(f"no such file: {location}")
    try:
        return _import_file(path.resolve()) if is_file else importlib.import_module(location)
    except ReferenceError_:
        raise
    except ModuleNotFoundError as error:
        if error.name == location:
            raise ReferenceError_(
                f"no module named {location!r}; for a file write its path with .py"
            ) from error
        raise ReferenceError_(f"{location} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:
        raise ReferenceError_(
            f"{location} raises while it is imported: {type(error).__name__}: {error}"
        ) from error


def _import_file(path: Path) -> ModuleType:
    """Import a file, through its package if it lies in one, so that relative imports work."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if len(parts) > 1:
        return _import_from_package(path, parts)
    name = _free_module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None and module_spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        module_spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _import_from_package(path: Path, parts: Sequence[str]) -> ModuleType:
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    if not _is_from(module, path):
        found = getattr(module, "__file__", None)
        raise ReferenceError_(
            f"{path} cannot be imported as {module.__name__}, because that is {found}; "
            "rename the package, or run where only one of them can be imported"
        )
    return module


def _free_module_name(path: Path) -> str:
    """The file's own name, or a longer one where a module of that name is another file's."""
    loaded = sys.modules.get(path.stem)
    if loaded is not None and _is_from(loaded, path):
        return path.stem
    is_taken = loaded is not None or path.stem in sys.stdlib_module_names
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return f"{path.stem}_{digest}" if is_taken else path.stem


def _is_from(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path


def _no_such_function(location: str, qualname: str, found: Any) -> str:
    held = getattr(found, "__dict__", {})
    names = [n for n in held if isinstance(getattr(held[n], "reference", None), Reference)]
    hint = f"; it has {', '.join(names)}" if names else ""
    return f"{location} has no function {qualname!r}{hint}"
