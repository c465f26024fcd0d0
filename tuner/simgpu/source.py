"""The translation unit that stands for a draft: its device code, and how its kernels are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from outpace.codegen.macros import macros, without_own_definitions
from outpace.model import Parameter

NAME = "draft.cu"
"""What compilers and findings call the file of a draft."""

_TOKEN = re.compile(
    r"""(?P<comment>//(?:\\\r?\n|[^\n])*|/\*.*?\*/)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<include>\#[ \t]*include[ \t]*(?:<[^>\n]*>|"[^"\n]*"|\w+))
    |(?P<launch><<<)
    |(?P<word>[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)
    """,
    re.VERBOSE | re.DOTALL,
)
_DYNAMIC = re.compile(r"\bextern\b(?P<middle>[^;{}()]*(?:\([^()]*\)[^;{}()]*)*?)\[\s*\]\s*;")
_BOUNDS = re.compile(r"\b__launch_bounds__\s*\(")
_KERNEL = re.compile(r"\s*(?:void\s+)?(?P<name>[A-Za-z_]\w*)\s*\(")
_ALIGNMENT = re.compile(r"(?:__align__|alignas)\s*\([^()]*\)|__attribute__\s*\(\(.*?\)\)")
_STANDARD = (
    *("array", "cfloat", "climits", "cmath", "complex", "cstddef", "cstdint", "limits", "tuple"),
    *("type_traits", "utility"),
)
"""Headers of the standard library for devices that the host's stand for."""
_HEADERS = frozenset(
    {
        *("cuda_runtime.h", "cuda_runtime_api.h", "cuda.h", "cooperative_groups.h"),
        *("device_launch_parameters.h", "device_functions.h", "vector_types.h"),
        *("vector_functions.h", "math_functions.h", "math_constants.h"),
        *("cstdint", "stdint.h", "cstddef", "stddef.h", "cmath", "math.h", "cfloat", "float.h"),
        *("climits", "limits.h", "type_traits", "stdio.h", "cstdio", "assert.h", "cassert"),
        *("cooperative_groups/reduce.h", "cuComplex.h"),
        *(f"cuda/std/{name}" for name in _STANDARD),
    }
)
_HEADERS_OF = {
    "cuda_fp16.h": "half",
    "cuda_fp8.h": "fp8",
    "cuda_bf16.h": "bfloat16",
    "mma.h": "wmma",
    "cuda/pipeline": "cuda::pipeline",
    "cuda/barrier": "cuda::barrier",
    "cooperative_groups/memcpy_async.h": "cooperative_groups::memcpy_async",
}
"""What a header that is not simulated brings, by its name."""
_WORDS = (
    (r"__half\w*|__float2half\w*|__half2float\w*|_Float16|__fp16", "half"),
    (r"__?nv_bfloat16\w*|nv_bfloat16\w*|__bf16|bfloat16\w*", "bfloat16"),
    (r"__nv_fp8\w*|__nv_fp6\w*|__nv_fp4\w*", "fp8"),
    (r"(?:nvcuda::)?wmma(?:::\w+)*|nvcuda(?:::\w+)*|__mma\w*|__wmma\w*", "wmma"),
    (r"asm|__asm|__asm__", "inline assembly"),
    (r"tex[123]D\w*|cudaTextureObject_t|texref\w*", "textures"),
    (r"surf[123]D\w*|cudaSurfaceObject_t", "surfaces"),
    (
        r"cuda::(?!std\b)\w+(?:::\w+)*|__pipeline_\w+|__mbarrier\w*",
        "cuda::pipeline, cuda::barrier and others",
    ),
    (r"__cluster_dims__|cluster_group|this_cluster|__cluster\w*", "thread block clusters"),
    (r"CUtensorMap|__tma\w*", "tensor maps"),
    (r"grid_group|this_grid|multi_grid_group|this_multi_grid", "barriers of the whole grid"),
    (r"memcpy_async|wait_prior", "asynchronous copies"),
    (r"coalesced_group|coalesced_threads|labeled_partition|binary_partition", "coalesced groups"),
    (r"thread_group", "groups of any size"),
    (r"__v\w+[24]|__(?:u|s)?(?:had|rhad|sad)d?", "instructions on parts of words"),
    (r"malloc|new|delete", "memory allocated by device code"),
    (r"cuda[A-Z]\w+", "calls of the CUDA runtime from device code"),
    (r"__managed__", "managed memory"),
    (r"__nv_\w+", "libdevice"),
)
_UNSUPPORTED = tuple((re.compile(pattern), name) for pattern, name in _WORDS)


class Unsupported(Exception):  # noqa: N818  (an outcome, not a fault)
    """The simulation cannot say whether a draft is right; the text names what it lacks."""


def without_comments(code: str) -> str:
    """Device code with blanks for its comments; lines keep their numbers.

    Raises:
        Unsupported: It uses something that is not simulated.
    """
    parts = []
    end = 0
    for match in _TOKEN.finditer(code):
        parts.append(code[end : match.start()])
        end = match.end()
        text = match.group()
        if match.lastgroup == "comment":
            parts.append(" " + "\n" * text.count("\n"))
            continue
        parts.append(text)
        if (lacking := _lacking(match)) is not None:
            line = code.count("\n", 0, match.start()) + 1
            raise Unsupported(f"unsupported in simulation: {lacking} ({text}, line {line})")
    return "".join([*parts, code[end:]])


def _lacking(match: re.Match[str]) -> str | None:
    """What a token asks for that is not simulated, or None."""
    text = match.group()
    if match.lastgroup == "launch":
        return "launches from device code"
    if match.lastgroup == "include":
        name = re.sub(r"^#[ \t]*include[ \t]*", "", text).strip('<>"')
        return None if name in _HEADERS else _HEADERS_OF.get(name, f"the header {name}")
    if match.lastgroup == "word":
        words = [text, *text.split("::")]
        return next((name for p, name in _UNSUPPORTED if any(map(p.fullmatch, words))), None)
    return None


def dynamic_shared(code: str) -> str:
    """Code in which arrays of dynamic shared memory are pointers to it, as the runtime has it.

    Args:
        code: Without comments.
    """
    return _DYNAMIC.sub(_pointer, code)


def _pointer(match: re.Match[str]) -> str:
    middle = match["middle"]
    if "__shared__" not in middle.split():
        return match.group()
    words = _ALIGNMENT.sub(" ", middle).replace("__shared__", " ").split()
    kind, name = " ".join(words[:-1]), words[-1]
    lines = "\n" * match.group().count("\n")
    cast = f"reinterpret_cast<{kind} *>(simgpu::dynamic_shared())"
    return f"{kind} *const {name} = {cast};{lines}"


def device_file(code: str, parameters: Sequence[Parameter]) -> str:
    """Content of the file `NAME`, which stands for the draft's own, line for line.

    Args:
        code: Device code, which begins in line 2 of the draft's file.
        parameters: Those that are macros.

    Raises:
        Unsupported: The code uses something that is not simulated.
    """
    device = dynamic_shared(without_comments(code))
    return f"\n{without_own_definitions(device, parameters)}\n"


def launch_bounds(code: str) -> dict[str, str]:
    """The most threads of a block that kernels declare, as expressions, by the kernels' names.

    Args:
        code: Without comments. Of templates only what does not need their arguments counts.
    """
    found = {}
    for match in _BOUNDS.finditer(code):
        depth, end, first = 1, match.end(), None
        while end < len(code) and depth:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            first = end if first is None and depth == 1 and code[end] == "," else first
            end += 1
        kernel = _KERNEL.match(code, end)
        if kernel is not None:
            found[kernel["name"]] = " ".join(code[match.end() : first or end - 1].split())
    return found


def translation_unit(
    parameters: Sequence[Parameter],
    kernels: Sequence[str],
    checks: str,
    bounds: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """C++ around the file `NAME`: what comes before it, and the table that calls its kernels.

    Args:
        parameters: With the value that each is bound to.
        kernels: Names in the order in which calls number them, template arguments included.
        checks: C++ that holds the kernels to the plan; see `outpace.codegen.cuda.prototype`.
        bounds: As `launch_bounds` gives them.
    """
    lines = ['#include "simgpu.h"', macros(parameters), f'#include "{NAME}"', checks]
    lines += ['#include "kernels.h"', "extern const simgpu::Kernel simgpu_kernels[] = {"]
    lines += [
        f'    simgpu::kernel_of<(&{name})>("{name}", (&{name}), {bounds.get(name, "0")}),'
        for name in kernels
    ]
    return "\n".join([*lines, "};", ""])
