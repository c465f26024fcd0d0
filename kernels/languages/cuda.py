"""Drafts in CUDA C++ with a launch plan: device code alone, launched by trusted code.

The plan stands in the header line (`outpace.codegen.cuda`, docs/cuda.md). Parameters are macros.
NVRTC compiles to a cubin inside the confined build; for which GPU, the flag `--gpu-architecture`
says, else it is the one of this machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from outpace.codec import content_hash, decode, encode
from outpace.codegen.cuda import LaunchPlan, split_plan
from outpace.codegen.cuda.limits import ARCHITECTURES
from outpace.codegen.cuda.prototype import launch_checks, launches
from outpace.codegen.macros import macros, without_own_definitions
from outpace.errors import CodecError, DraftError, EnvironmentError_
from outpace.kernels.languages.base import (
    BuildError,
    InvalidDraft,
    Kernel,
    parse_draft,
    render_draft,
)
from outpace.kernels.languages.cubin import launch_bounds
from outpace.kernels.languages.cuda_report import DeviceReport, kernels_used, launches_used
from outpace.kernels.languages.device_headers import BEFORE, device_headers
from outpace.kernels.languages.nvrtc import CompileError, find_nvrtc
from outpace.model import Contract, Draft, Parameter, Provenance, Scalar, Variant

ARCHITECTURE = "--gpu-architecture"
"""The flag that names the GPU to compile for, such as `sm_90`."""
SWITCHES = frozenset(
    {
        "--extra-device-vectorization",
        "--fmad",
        "--ftz",
        "--prec-div",
        "--prec-sqrt",
        "--use_fast_math",
    }
)
"""Options of the compiler that a draft may switch on or off."""
REGISTERS = "--maxrregcount"
"""The option that limits the registers of a thread."""

_COMPILE = (
    "--std=c++17",
    "--ptxas-options=-v",  # registers, shared memory and spills are read from the log
    f"--pre-include={BEFORE}",
    "--diag-suppress=47",  # NVIDIA's own headers define the limits of integers again
    "--diag-suppress=177",  # unused variables: a plan need not use all that a draft declares
)
_ARCHITECTURE_NAME = re.compile(r"(?P<name>sm_\d+)[af]?")


class CudaLanguage:
    """See the module."""

    name = "cuda"
    suffix = ".cu"
    comment = "//"
    runs_to_build = False

    def unavailable(self) -> str | None:
        """Why drafts cannot be built and run: no compiler, no CuPy, or no GPU."""
        from outpace.kernels.gpu.device import device_missing  # noqa: PLC0415

        return self.cannot_compile() or device_missing()

    def cannot_compile(self, architecture: str | None = None) -> str | None:
        """Why drafts cannot even be compiled, for which no GPU is needed, or None.

        Args:
            architecture: The GPU that matters, such as `sm_90`; None for any.
        """
        try:
            nvrtc = find_nvrtc()
        except EnvironmentError_ as error:
            return str(error)
        if architecture is None or architecture in nvrtc.architectures:
            return None
        return f"NVRTC {nvrtc.version} compiles for {', '.join(nvrtc.architectures)} only"

    def bind(self, variant: Variant) -> str:
        """A draft whose parameters have one value each; `build` makes macros of them.

        It names the GPU of this machine where it names none, so that a build needs no driver.
        """
        draft = variant.draft
        bound = tuple(Parameter(name, (value,)) for name, value in variant.params.items())
        flags = {**_architecture_here(), **draft.flags}
        return render_draft(Draft(self.name, draft.source, bound, (), flags), self)

    def build(self, path: Path, contract: Contract, cache: Path) -> None:
        """Compile into the cache folder: a cubin, and a `DeviceReport` beside it.

        Raises:
            BuildError: It does not compile, or a launch exceeds what the GPU has.
            InvalidDraft: There is no launch plan, a kernel does not take what the plan passes, or
                a flag is not known.
            EnvironmentError_: There is no compiler; or no GPU, and none is named.
        """
        _build(_read(path.read_text(encoding="utf-8"), contract), cache)

    def load(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """The kernel that `build` has left in the cache folder, over arrays of the host.

        Raises:
            BuildError: It is not there, or cannot be loaded.
            InvalidDraft: As `build`.
            EnvironmentError_: There is no GPU.
        """
        from outpace.kernels.gpu.calling import load_host_kernel  # noqa: PLC0415

        return load_host_kernel(*_launched(path, contract, cache))

    def load_on_gpu(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """As `load`, over arrays that are on the GPU; its work is enqueued when a call returns."""
        from outpace.kernels.gpu.calling import load_device_kernel  # noqa: PLC0415

        return load_device_kernel(*_launched(path, contract, cache))

    def report(self, path: Path, contract: Contract, cache: Path) -> DeviceReport:
        """What `build` found. Raises as `load`."""
        return _found(_read(path.read_text(encoding="utf-8"), contract), cache)[1]


CUDA = CudaLanguage()


@dataclass(frozen=True)
class _Recipe:
    """What a build is made from, the compiler aside.

    Attributes:
        contract: Of the reference.
        plan: What is launched.
        params: The bound parameters.
        macros: Their definitions, one a line.
        source: Device code at the lines that it has in its file, then the checks of the launches.
        options: Of the compiler, without the architecture.
        architecture: To compile for, such as `sm_90`.
    """

    contract: Contract
    plan: LaunchPlan
    params: dict[str, Scalar]
    macros: str
    source: str
    options: tuple[str, ...]
    architecture: str

    @property
    def key(self) -> str:
        """Content hash of all that goes into the build."""
        texts = [self.macros, self.source, *sorted(device_headers("").values())]
        return content_hash([texts, [*_COMPILE, *self.options], self.architecture, self.contract])


def _read(text: str, contract: Contract) -> _Recipe:
    try:
        draft = parse_draft(text, CUDA, Provenance("user"))
        plan, code = split_plan(draft.source)
        params = {p.name: p.values[0] for p in draft.parameters}
        checks = launch_checks(plan, contract, params)
    except DraftError as error:
        raise InvalidDraft(str(error)) from error
    source = without_own_definitions(f"\n{code}", draft.parameters)
    options, architecture = _options(draft.flags)
    defined = macros(draft.parameters)
    return _Recipe(contract, plan, params, defined, f"{source}\n{checks}", options, architecture)


def _options(flags: Mapping[str, Scalar]) -> tuple[tuple[str, ...], str]:
    """Options of the compiler in a fixed order, and the architecture.

    Raises:
        InvalidDraft: One is not known, or its value is of the wrong kind.
        EnvironmentError_: No architecture is given, and there is no GPU.
    """
    options = []
    for name, value in sorted(flags.items()):
        if name in SWITCHES and isinstance(value, bool):
            # Those that are off by default take no value.
            if name.startswith(("--fmad", "--ftz", "--prec")):
                options.append(f"{name}={str(value).lower()}")
            elif value:
                options.append(name)
        elif name == REGISTERS and type(value) is int and 16 <= value <= 255:
            options.append(f"{name}={value}")
        elif name != ARCHITECTURE:
            raise InvalidDraft(
                f"the flag {name!r}: {value!r} is not taken; flags of cuda are "
                f"{', '.join(sorted(SWITCHES))} with true or false, and {REGISTERS} with 16 to 255"
            )
    return tuple(options), _architecture(flags.get(ARCHITECTURE))


def _architecture(named: Scalar | None) -> str:
    if named is None:
        from outpace.kernels.gpu.device import device_architecture  # noqa: PLC0415

        return device_architecture()
    known = _ARCHITECTURE_NAME.fullmatch(str(named))
    if known is None or known["name"] not in ARCHITECTURES:
        raise InvalidDraft(f"the GPU {named!r} is not one of {', '.join(ARCHITECTURES)}")
    return str(named)


def _architecture_here() -> dict[str, Scalar]:
    """The flag that names this machine's GPU; nothing where there is none."""
    from outpace.kernels.gpu.device import device_architecture  # noqa: PLC0415

    try:
        return {ARCHITECTURE: device_architecture()}
    except EnvironmentError_:
        return {}


# --- Building -----------------------------------------------------------------------------------


def _build(recipe: _Recipe, cache: Path) -> None:
    """See `CudaLanguage.build`."""
    if (cache / f"{recipe.key}.json").exists():
        return
    nvrtc = find_nvrtc()
    expressions = list(dict.fromkeys(s.kernel for _, s in launches(recipe.plan.steps, "steps")))
    options = [*_COMPILE, *recipe.options, f"{ARCHITECTURE}={recipe.architecture}"]
    try:
        compiled = nvrtc.compile(recipe.source, options, expressions, device_headers(recipe.macros))
    except CompileError as error:
        raise _refusal(str(error)) from error
    bounds = launch_bounds(compiled.cubin)
    kernels = kernels_used(compiled.symbols, compiled.log, bounds)
    base = _ARCHITECTURE_NAME.fullmatch(recipe.architecture)
    assert base is not None
    try:
        launched = launches_used(
            kernels, ARCHITECTURES[base["name"]], recipe.plan, recipe.params, recipe.contract
        )
    except DraftError as error:  # the plan is sound, but not with these numbers
        raise BuildError(str(error)) from error
    report = DeviceReport(recipe.architecture, f"NVRTC {nvrtc.version}", kernels, launched)
    _keep(recipe.key, compiled.cubin, report, cache)


def _refusal(log: str) -> BuildError | InvalidDraft:
    """The error that a log becomes: where the first is a check of a launch, it is the plan's."""
    first = next((line for line in log.splitlines() if "error: " in line), "")
    check = re.search(r'static assertion failed with "(steps\[.*)"', first)
    return InvalidDraft(check[1]) if check else BuildError(log)


def _keep(key: str, cubin: bytes, report: DeviceReport, cache: Path) -> None:
    """Put cubin and report into the folder; the report last, which says that both are there."""
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".building-", dir=cache) as name:
        for content, target in (
            (cubin, f"{key}-{_digest(cubin)}.cubin"),
            (encode(report), f"{key}.json"),
        ):
            written = Path(name) / target
            written.write_bytes(content)
            written.replace(cache / target)


def _launched(
    path: Path, contract: Contract, cache: Path
) -> tuple[Path, dict[str, str], LaunchPlan, dict[str, Scalar], Contract]:
    """What a `Launcher` is made from."""
    recipe = _read(path.read_text(encoding="utf-8"), contract)
    cubin, report = _found(recipe, cache)
    symbols = {use.kernel: use.symbol for use in report.kernels}
    return cubin, symbols, recipe.plan, recipe.params, contract


def _found(recipe: _Recipe, cache: Path) -> tuple[Path, DeviceReport]:
    """Cubin and report in a folder, if they are what was put there.

    Raises:
        BuildError: They are not.
    """
    try:
        report = decode((cache / f"{recipe.key}.json").read_bytes(), DeviceReport)
    except (OSError, CodecError) as error:
        raise BuildError(f"there is no intact build in {cache}; build it first") from error
    for path in sorted(cache.glob(f"{recipe.key}-*.cubin")):
        if path.name == f"{recipe.key}-{_digest(path.read_bytes())}.cubin":
            return path, report
    raise BuildError(f"there is no intact build in {cache}; build it first")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
