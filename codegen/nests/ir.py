"""The intermediate representation: array programs as loop nests.

    Program    = (name, parameters, sizes, body)
    Statement  = Store | Assign | Define | Allocate | Reshape | Rebind | Library | Nest | Loop | If
               | While | Jump
    Expression = Constant | Position | Variable | Load | Apply | Cast | Reduce

Every value is frozen; passes build new ones. An `Expression` is a scalar with a NumPy dtype, and
operands are already cast to the dtype in which NumPy computes, so that no emitter has to know
promotion rules. The iterations of a `Nest` may run in any order or at once; a `Loop` is sequential.
Different array names never overlap in memory, except where `Reshape` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from outpace.codegen.dims import Affine


class Op(StrEnum):
    """A scalar function. Unless noted the value is the name of the NumPy ufunc it agrees with."""

    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    FLOOR_DIVIDE = "floor_divide"
    REMAINDER = "remainder"
    POWER = "power"
    NEGATIVE = "negative"
    ABSOLUTE = "absolute"
    CONJUGATE = "conjugate"
    REAL = "real"
    IMAG = "imag"
    SQRT = "sqrt"
    EXP = "exp"
    LOG = "log"
    LOG2 = "log2"
    LOG10 = "log10"
    LOG1P = "log1p"
    EXPM1 = "expm1"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    ARCSIN = "arcsin"
    ARCCOS = "arccos"
    ARCTAN = "arctan"
    ARCTAN2 = "arctan2"
    HYPOT = "hypot"
    SINH = "sinh"
    COSH = "cosh"
    TANH = "tanh"
    FLOOR = "floor"
    CEIL = "ceil"
    TRUNC = "trunc"
    SIGN = "sign"
    ISNAN = "isnan"
    ISFINITE = "isfinite"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    LESS = "less"
    LESS_EQUAL = "less_equal"
    GREATER = "greater"
    GREATER_EQUAL = "greater_equal"
    EQUAL = "equal"
    NOT_EQUAL = "not_equal"
    LOGICAL_AND = "logical_and"
    LOGICAL_OR = "logical_or"
    LOGICAL_NOT = "logical_not"
    BITWISE_AND = "bitwise_and"
    BITWISE_OR = "bitwise_or"
    BITWISE_XOR = "bitwise_xor"
    INVERT = "invert"
    LEFT_SHIFT = "left_shift"
    RIGHT_SHIFT = "right_shift"
    WHERE = "where"
    SMALLER = "smaller"
    """Python's two-argument `min`: the first unless the second is less."""
    LARGER = "larger"
    """Python's two-argument `max`: the first unless the second is greater."""
    FAST_EXP = "fast_exp"
    """`exp` as straight-line code; within 2 units in the last place."""
    WRAP = "wrap"
    """`(index, extent)`: the index, counted from the end when it is negative."""


class Reduction(StrEnum):
    """How a `Reduce` combines values. MAX and MIN give NaN when there is one."""

    SUM = "sum"
    PROD = "prod"
    MAX = "max"
    MIN = "min"
    ANY = "any"
    ALL = "all"


# --- Expressions --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """A literal."""

    value: complex
    dtype: str


@dataclass(frozen=True)
class Position:
    """An affine integer over sizes, loop variables and nest indices."""

    value: Affine
    dtype: str = "int64"


@dataclass(frozen=True)
class Variable:
    """A scalar parameter or local."""

    name: str
    dtype: str


@dataclass(frozen=True)
class Load:
    """An element of an array; affine indices are never negative."""

    array: str
    indices: tuple[Expression, ...]
    dtype: str


@dataclass(frozen=True)
class Apply:
    """A scalar function of operands that already have the dtype it computes in."""

    op: Op
    operands: tuple[Expression, ...]
    dtype: str


@dataclass(frozen=True)
class Cast:
    """Conversion as by `astype`."""

    operand: Expression
    dtype: str


@dataclass(frozen=True)
class Range:
    """An index that runs from 0 to extent - 1; nothing when the extent is not positive."""

    name: str
    extent: Affine


@dataclass(frozen=True)
class Reduce:
    """A reduction over ranges. Its order is free for floats unless the contract forbids it."""

    kind: Reduction
    ranges: tuple[Range, ...]
    body: Expression
    dtype: str


Expression = Constant | Position | Variable | Load | Apply | Cast | Reduce


# --- Statements ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Store:
    """`array[indices] = value`."""

    array: str
    indices: tuple[Expression, ...]
    value: Expression


@dataclass(frozen=True)
class Assign:
    """A scalar local; inside a nest private to the iteration."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Define:
    """A size that is not affine, such as `n // 2`; from here on a name in affine expressions."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Array:
    """Name, dtype and extents of an array."""

    name: str
    dtype: str
    shape: tuple[Affine, ...]


@dataclass(frozen=True)
class Allocate:
    """A fresh array with undefined contents."""

    array: Array


@dataclass(frozen=True)
class Reshape:
    """Another name for the memory of a C-contiguous array."""

    array: Array
    base: str


@dataclass(frozen=True)
class Rebind:
    """Simultaneous renaming of whole arrays of equal shape, such as `u, v = v, u`."""

    targets: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Operand:
    """A whole array, or a matrix with its axes exchanged."""

    array: str
    transposed: bool = False


@dataclass(frozen=True)
class Library:
    """`target[...] = function(*operands)` by NumPy itself; never inside a nest.

    Attributes:
        target: An array of the shape and dtype of the result, not among the operands.
        function: A name in NumPy, such as `matmul` or `linalg.solve`.
        operands: Whole arrays.
    """

    target: str
    function: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Nest:
    """Independent iterations over ranges, the last one innermost."""

    ranges: tuple[Range, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Loop:
    """A sequential `for name in range(start, stop, step)`."""

    name: str
    start: Expression
    stop: Expression
    step: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class If:
    """A branch."""

    condition: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


@dataclass(frozen=True)
class While:
    """A loop with a condition."""

    condition: Expression
    body: tuple[Statement, ...]


class Jump(Enum):
    """Leaves or continues the innermost sequential loop."""

    BREAK = "break"
    CONTINUE = "continue"


Statement = (
    Store
    | Assign
    | Define
    | Allocate
    | Reshape
    | Rebind
    | Library
    | Nest
    | Loop
    | If
    | While
    | Jump
)


# --- Programs -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scalar:
    """A scalar parameter."""

    name: str
    dtype: str


@dataclass(frozen=True)
class Size:
    """A dim and the axis that gives it: `(array.shape[axis] - offset) // factor`."""

    name: str
    array: str
    axis: int
    offset: Affine
    factor: int


@dataclass(frozen=True)
class Program:
    """A kernel in destination-passing style.

    Attributes:
        name: Name of the reference.
        parameters: Inputs in contract order, then outputs.
        outputs: Names of the parameters that are only written.
        sizes: Dims in an order in which each can be computed.
        body: Statements.
    """

    name: str
    parameters: tuple[Array | Scalar, ...]
    outputs: tuple[str, ...]
    sizes: tuple[Size, ...]
    body: tuple[Statement, ...]
