"""`outpace eject`: promoted kernels as a package that needs no outpace."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat

from outpace.codegen.contract import size_names
from outpace.codegen.dims import parse_dim, sizes_text
from outpace.codegen.reference import Reference
from outpace.errors import StorageError, UsageError
from outpace.kernels import ejected
from outpace.kernels.languages import OPTIONAL, language_named
from outpace.kernels.languages.base import parse_draft
from outpace.kernels.promotions import RECORD, StoredPromotion
from outpace.kernels.serve import returns_of
from outpace.model import Contract, Promotion, Provenance, Variant

_RUNTIME = "_runtime.py"
_REFERENCE = "reference.py"


def eject(reference: Reference, promotions: Sequence[StoredPromotion], folder: Path) -> list[Path]:
    """Write a package with these kernels, their recipes and evidence, and the reference.

    Args:
        reference: Of the promotions.
        promotions: At least one; where several fit a call, the one confirmed nearest runs.
        folder: New folder of the package, whose name is that of a Python module.

    Returns:
        The files of the package.

    Raises:
        UsageError: The folder exists or is no module's name, or a kernel in C takes a complex
            scalar, which Python cannot pass to it by itself.
        StorageError: It cannot be written.
    """
    if not folder.name.isidentifier():
        raise UsageError(f"{folder.name!r} is no name of a Python module; choose another folder")
    if folder.exists():
        raise UsageError(f"{folder} exists; remove it, or choose another folder with --out")
    for stored in promotions:
        _refuse_misfits(reference.contract, stored.promotion)
    files = {
        "__init__.py": _init_text(reference, promotions),
        _RUNTIME: Path(ejected.__file__).read_text(encoding="utf-8"),
        _REFERENCE: f'"""The reference, to which the kernels were held."""\n\n'
        f"{reference.closure.module_text()}",
    }
    for stored in promotions:
        key, variant = stored.promotion.key.hash, stored.promotion.variant
        files[_kernel_file(stored.promotion)] = _kernel_text(variant)
        files[f"evidence_{key}.json"] = (stored.path / RECORD).read_text(encoding="utf-8")
    try:
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StorageError(f"the package cannot be written to {folder}: {error}") from error
    return sorted(folder / name for name in files)


def _refuse_misfits(contract: Contract, promotion: Promotion) -> None:
    """Refuse kernels that a package of files alone could not call."""
    if promotion.variant.draft.language in OPTIONAL:
        raise UsageError(
            f"a kernel in {promotion.variant.draft.language} needs its compiler where it is "
            "installed; promote one in another language with --language"
        )
    scalars = [a.name for a in contract.arguments if not a.is_array and "complex" in a.dtype]
    if promotion.variant.draft.language == "c" and scalars:
        raise UsageError(
            f"the kernel takes the complex number {scalars[0]} by value, which needs a wrapper of "
            "its own; pass it as an array of one element, and tune again"
        )


def _kernel_file(promotion: Promotion) -> str:
    return f"kernel_{promotion.key.hash}{language_named(promotion.variant.draft.language).suffix}"


def _kernel_text(variant: Variant) -> str:
    """The draft with its parameters bound, as its own compiler reads it."""
    language = language_named(variant.draft.language)
    bound = language.bind(variant)
    if variant.draft.language != "c":
        return bound
    draft = parse_draft(bound, language, Provenance("user"))
    macros = "".join(f"#define {p.name} {_macro(p.values[0])}\n" for p in draft.parameters)
    return f"#include <stdint.h>\n{macros}{draft.source}"


def _macro(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _init_text(reference: Reference, promotions: Sequence[StoredPromotion]) -> str:
    contract, name = reference.contract, reference.fn.__name__
    returns = returns_of(reference)
    arguments = [
        f"Array({a.name!r}, {a.dtype!r}, {_dims(a.dims) if a.is_array else None})"
        for a in contract.arguments
    ]
    allows = [f"    allows=lambda {', '.join([*size_names(contract), '**_'])}: {contract.where},"]
    outputs = []
    for output, python in zip(contract.outputs, returns.python_scalar, strict=True):
        form = ("python" if python else "numpy") if output.scalar else "array"
        outputs.append(f"Array({output.name!r}, {output.dtype!r}, {_dims(output.dims)}, {form!r})")
    kernels = [_kernel_entry(contract, stored.promotion) for stored in promotions]
    lines = [
        f'"""{_docstring(reference, promotions)}"""',
        "",
        "from ._runtime import Array, Ejected, Kernel",
        f"from .reference import {name} as _reference",
        "",
        f"{name} = Ejected(",
        "    _reference,",
        *_listed("arguments", arguments),
        *_listed("outputs", outputs),
        *_listed("kernels", kernels),
        f"    is_tuple={returns.is_tuple},",
        *(allows if contract.where is not None else []),
        ")",
    ]
    return "\n".join(lines) + "\n"


def _listed(name: str, entries: Sequence[str]) -> list[str]:
    return [f"    {name}=[", *(f"        {entry}," for entry in entries), "    ],"]


def _dims(dims: Sequence[str] | None) -> tuple[tuple[int, dict[str, int]], ...]:
    parsed = [parse_dim(dim) for dim in dims or ()]
    return tuple((affine.constant, dict(affine.terms)) for affine in parsed)


def _kernel_entry(contract: Contract, promotion: Promotion) -> str:
    confirmed = tuple(evidence.workload.sizes for evidence in promotion.evidence)
    entry = f"Kernel({_kernel_file(promotion)!r}, {pformat(confirmed, width=10_000)}"
    if promotion.variant.draft.language == "c":
        flags = tuple(sorted(n for n, on in promotion.variant.draft.flags.items() if on))
        entry += f", {flags}, {contract.dims}"
    if promotion.refused_sizes:
        entry += f", refused={pformat(promotion.refused_sizes, width=10_000)}"
    return f"{entry})"


def _docstring(reference: Reference, promotions: Sequence[StoredPromotion]) -> str:
    lines = [
        f"`{reference.fn.__name__}` of {reference.name} with kernels that outpace promoted.",
        "",
        f"Made from the source {reference.source_hash}. Each kernel was held to the reference",
        "numerically and timed against it; samples are in the evidence beside it.",
    ]
    for stored in promotions:
        promotion = stored.promotion
        variant, there = promotion.variant, promotion.target
        tools = ", ".join(f"{n} {v}" for n, v in sorted(there.versions.items()))
        made = promotion.created[:10]
        lines += ["", f"{_kernel_file(promotion)}: {_plain(variant.label)}, {made}"]
        lines.append(f"    on {_plain(there.cpu)}, {there.cores} cores; {_plain(tools)}")
        for evidence in promotion.evidence:
            sizes = sizes_text(evidence.workload.sizes)
            gain = evidence.speedup
            lines.append(
                f"    {sizes}: {gain.median:.2f}x over the reference, "
                f"{gain.confidence:.0%} in [{gain.low:.2f}, {gain.high:.2f}]"
            )
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text that cannot end a docstring."""
    return text.replace("\\", "/").replace('"', "'")
