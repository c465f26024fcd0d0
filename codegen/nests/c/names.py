"""Give names that mean something to C another spelling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.functions import NAMES
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Assign,
    Define,
    Expression,
    Library,
    Load,
    Loop,
    Nest,
    Position,
    Program,
    Range,
    Rebind,
    Reduce,
    Reshape,
    Scalar,
    Statement,
    Store,
    Variable,
)

Spelling = Callable[[str], str]

_KEYWORDS = """
    asm auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch typedef
    typeof union unsigned void volatile while bool true false
""".split()  # noqa: SIM905  (a long list)
_LIBRARY = """
    abs acos acosf acosh asin asinf asinh atan atan2 atan2f atanf atanh cabs cabsf cbrt ceil ceilf
    cexp clog conj conjf copysign copysignf cos cosf cosh coshf cpow creal crealf cimag cimagf csqrt
    csin ccos ctan casin cacos catan csinh ccosh ctanh erf exp exp2 expf expm1 expm1f fabs fabsf
    floor floorf fma fmax fmin fmod fmodf free hypot hypotf isfinite isinf isnan kernel ldexp log
    log10 log10f log1p log1pf log2 log2f main malloc memcpy nan next pow powf pow rint round scratch
    release sin sinf sinh sinhf size_t sqrt sqrtf tan tanf tanh tanhf trunc truncf abort calloc
    gemm_float32 gemm_float64 is_blas blas_function product_float32 product_float64
    aligned_alloc NAN INFINITY NULL EOF HUGE_VAL VECTOR_FORM NEWER_VECTOR_FORM
""".split()  # noqa: SIM905
_TYPES = [f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)]
RESERVED = frozenset({*_KEYWORDS, *_LIBRARY, *_TYPES, *NAMES})


def spelled(program: Program, reserved: frozenset[str]) -> Program:
    """The program with its own names different from these, and fit for C."""
    names = walk.names_of(program)
    changed: dict[str, str] = {}
    for name in sorted(names):
        other = f"u{name}" if name.startswith("__") or name[:2] in _IMPLEMENTATION else name
        while other in reserved or (other != name and other in names | set(changed.values())):
            other += "_"
        if other != name:
            changed[name] = other
    return _renamed(program, changed) if changed else program


_IMPLEMENTATION = frozenset(f"_{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""Names that begin so belong to the compiler."""


def _renamed(program: Program, names: dict[str, str]) -> Program:
    def new(name: str) -> str:
        return names.get(name, name)

    return replace(
        program,
        parameters=tuple(
            replace(p, name=new(p.name)) if isinstance(p, Scalar) else _array(p, new)
            for p in program.parameters
        ),
        outputs=tuple(map(new, program.outputs)),
        sizes=tuple(
            replace(s, name=new(s.name), array=new(s.array), offset=_affine(s.offset, new))
            for s in program.sizes
        ),
        body=tuple(_statement(s, new) for s in _expressions(program.body, new)),
    )


def _affine(a: Affine, new: Spelling) -> Affine:
    return affine.linear({new(name): factor for name, factor in a.terms}, a.constant)


def _array(a: Array, new: Spelling) -> Array:
    return Array(new(a.name), a.dtype, tuple(_affine(n, new) for n in a.shape))


def _ranges(ranges: tuple[Range, ...], new: Spelling) -> tuple[Range, ...]:
    return tuple(Range(new(r.name), _affine(r.extent, new)) for r in ranges)


def _expressions(body: tuple[Statement, ...], new: Spelling) -> tuple[Statement, ...]:
    def change(part: Expression) -> Expression:
        match part:
            case Position(value=value):
                return Position(_affine(value, new))
            case Variable(name=name):
                return replace(part, name=new(name))
            case Load(array=array):
                return replace(part, array=new(array))
            case Reduce(ranges=ranges):
                return replace(part, ranges=_ranges(ranges, new))
            case _:
                return part

    return walk.with_expressions(body, change)


def _statement(s: Statement, new: Spelling) -> Statement:
    """A statement whose expressions are renamed already, with the rest renamed too."""
    match s:
        case Store(array=array):
            s = replace(s, array=new(array))
        case Assign(name=name) | Define(name=name) | Loop(name=name):
            s = replace(s, name=new(name))
        case Allocate(array=allocated):
            s = Allocate(_array(allocated, new))
        case Reshape(array=shaped, base=base):
            s = Reshape(_array(shaped, new), new(base))
        case Rebind(targets=targets, sources=sources):
            s = Rebind(tuple(map(new, targets)), tuple(map(new, sources)))
        case Nest(ranges=ranges):
            s = replace(s, ranges=_ranges(ranges, new))
        case Library(target=target, operands=operands):
            given = tuple(replace(o, array=new(o.array)) for o in operands)
            s = replace(s, target=new(target), operands=given)
        case _:
            pass
    return walk.with_blocks(s, lambda body: tuple(_statement(part, new) for part in body))
