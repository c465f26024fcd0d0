"""Reading annotations and options: what is accepted, and what each error tells the user."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

import jaxtyping
import numpy as np
import numpy.typing as npt
import pytest
from jaxtyping import Bool, Complex64, Float, Float16, Float64, Int32, Shaped

from outpace.codegen.contract import SUPPORTED_DTYPES, build_contract, size_names
from outpace.errors import ContractError
from outpace.model import Argument, Output, Tolerance, Workload
from outpace.split import Block

if TYPE_CHECKING:
    from jaxtyping import Float32

W = {"w": {"n": 4}}


def build(fn, workloads=W, **options):
    return build_contract(fn, workloads=workloads, **options)


def refused(fn, message, workloads=W, **options):
    with pytest.raises(ContractError, match=message):
        build(fn, workloads, **options)


# --- Annotations --------------------------------------------------------------------------------


def many(
    u: Float64[np.ndarray, "n_x 2*m+1"],
    flag: bool,
    z: Complex64[np.ndarray, ""],
    bins: int,
    dt: float = 0.5,
    /,
    w: complex = 1j,
    *,
    a: np.float32,
    s: np.uint8,
) -> tuple[Float64[np.ndarray, "bins n_x"], int, Bool[np.ndarray, "3"]]:
    """Everything at once, annotations as strings because of the __future__ import."""


def test_everything_that_is_accepted():
    sizes = {"n_x": 3, "m": 2, "bins": 4, "s": 1}
    contract = build(many, {"w": {**sizes, "dt": 2}})
    assert contract.arguments == (
        Argument("u", "float64", ("n_x", "2*m+1")),
        Argument("flag", "bool"),
        Argument("z", "complex64", ()),
        Argument("bins", "int64"),
        Argument("dt", "float64"),
        Argument("w", "complex128"),
        Argument("a", "float32"),
        Argument("s", "uint8"),
    )
    assert contract.outputs == (
        Output("out0", "float64", ("bins", "n_x")),
        Output("out1", "int64", ("1",), scalar=True),
        Output("out2", "bool", ("3",)),
    )
    assert contract.dims == ("n_x", "m")
    assert size_names(contract) == ("n_x", "m", "bins", "s")
    assert contract.workloads == (Workload("w", sizes, {"dt": 2.0}),)


@pytest.mark.parametrize("dtype", SUPPORTED_DTYPES)
def test_every_dtype_of_arrays_and_scalars(dtype):
    array = getattr(jaxtyping, dtype.replace("uint", "UInt").capitalize().replace("Ui", "UI"))

    def fn(u, s):
        pass

    fn.__annotations__ = {
        "u": array[np.ndarray, "n"],
        "s": np.dtype(dtype).type,
        "return": array[np.ndarray, "n"],
    }
    contract = build(fn, {"w": {"n": 3, "s": 1}})
    assert [a.dtype for a in contract.arguments] == [dtype, dtype]
    assert contract.outputs[0].dtype == dtype


def bare(u) -> float: ...
def no_return(u: Float64[np.ndarray, "n"]): ...
def plain_ndarray(u: np.ndarray) -> float: ...
def ndarray_of(u: npt.NDArray[np.float64]) -> float: ...
def optional(u: Float64[np.ndarray, "n"] | None) -> float: ...
def no_width(u: Float[np.ndarray, "n"]) -> float: ...
def any_dtype(u: Shaped[np.ndarray, "n"]) -> float: ...
def half(u: Float16[np.ndarray, "n"]) -> float: ...
def text(u: str) -> float: ...
def ellipsis(u: Float64[np.ndarray, "... n"]) -> float: ...
def starred(u: Float64[np.ndarray, "*n"]) -> float: ...
def broadcast(u: Float64[np.ndarray, "#n"]) -> float: ...
def anonymous(u: Float64[np.ndarray, "_ n"]) -> float: ...
def underscored(u: Float64[np.ndarray, "_n"]) -> float: ...
def commas(u: Float64[np.ndarray, "n,m"]) -> float: ...
def product(u: Float64[np.ndarray, "n*m"]) -> float: ...
def spaced(u: Float64[np.ndarray, "n + 4"]) -> float: ...
def unknown_name(u: Missing[np.ndarray, "n"]) -> float: ...
def only_checked(u: Float32[np.ndarray, "n"]) -> float: ...
def star_args(*u: Float64[np.ndarray, "n"]) -> float: ...
def star_kwargs(**u: float) -> float: ...
def returns_list(u: Float64[np.ndarray, "n"]) -> list[float]: ...
def returns_any_length(u: Float64[np.ndarray, "n"]) -> tuple[float, ...]: ...
def returns_nothing(u: Float64[np.ndarray, "n"]) -> None: ...
def returns_empty(u: Float64[np.ndarray, "n"]) -> tuple[()]: ...
def undefined_output(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n m"]: ...
def joint(u: Float64[np.ndarray, "n+m n-m"]) -> float: ...
def float_dim(u: Float64[np.ndarray, "dt"], dt: float) -> float: ...
def array_dim(u: Float64[np.ndarray, "u"]) -> float: ...


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (bare, r"'u' of bare has no annotation; write `u: Float64\[np.ndarray, \"y x\"\]`.*int"),
        (no_return, r"no_return has no return annotation; write `-> Float64"),
        (plain_ndarray, "neither a jaxtyping array nor a scalar; write `u: Float64"),
        (ndarray_of, "neither a jaxtyping array nor a scalar"),
        (optional, "neither a jaxtyping array nor a scalar"),
        (no_width, "'u' does not name one supported dtype; write for example Float64"),
        (any_dtype, "does not name one supported dtype"),
        (half, r"does not name one supported dtype.*supported: bool, int8"),
        (text, "neither a jaxtyping array nor a scalar"),
        (ellipsis, r"'...': .*not supported; write a name"),
        (starred, "not supported"),
        (broadcast, "not supported"),
        (anonymous, "not supported"),
        (underscored, "not supported"),
        (commas, "annotations of commas cannot be evaluated: .*spaces, not commas"),
        (product, "dim 'n\\*m' is not affine"),
        (spaced, "write each axis without spaces"),
        (unknown_name, "cannot be evaluated: name 'Missing' is not defined"),
        (only_checked, "'Float32' is not defined; import what they use .* not under TYPE_CHECKING"),
        (star_args, r"`\*u.*` is not supported; name each one"),
        (star_kwargs, r"`\*\*u.*` is not supported"),
        (returns_list, "'return', .*neither a jaxtyping array"),
        (returns_any_length, "'return', .*neither a jaxtyping array"),
        (returns_nothing, r"returns None and mutates nothing; declare mutates="),
        (returns_empty, r"returns None and mutates nothing"),
        (undefined_output, r"dim 'm' of 'out' names \['m'\], .*make it an int argument"),
        (joint, "cannot be determined from the shapes of the arguments; use each name alone"),
        (float_dim, "dim 'dt' is also an argument; only an int argument can be a dim"),
        (array_dim, "dim 'u' is also an argument"),
    ],
)
def test_an_annotation_that_is_refused(fn, message):
    refused(fn, message, {"w": {"n": 4, "m": 2}})


class Solver:
    def step(self, u: Float64[np.ndarray, "n"]) -> float: ...

    @staticmethod
    def fixed(u: Float64[np.ndarray, "n"]) -> float: ...


def test_methods_lambdas_and_classes():
    refused(Solver.step, r"Solver.step is a method; move the computation into a function")
    refused(lambda u: u, "argument 'u' of <lambda> has no annotation")
    assert build(Solver.fixed).dims == ("n",)


def test_names_of_outputs_avoid_those_of_arguments_and_dims():
    def fn(out: Float64[np.ndarray, "out_"]) -> Float64[np.ndarray, "out_"]: ...

    assert build(fn, {"w": {"out_": 3}}).outputs[0].name == "out__"


def test_annotations_of_a_nested_function_that_needs_local_names():
    from jaxtyping import UInt8 as Local

    def fn(u: Local[np.ndarray, "n"]) -> float: ...

    refused(fn, "import what they use at the top of the file")
    fn.__annotations__["u"] = Local[np.ndarray, "n"]
    assert build(fn).arguments[0].dtype == "uint8"


def test_a_tuple_of_one_is_a_tuple():
    def fn(u: Float64[np.ndarray, "n"]) -> typing.Tuple[float]: ...  # noqa: UP006

    assert [o.name for o in build(fn).outputs] == ["out0"]


# --- Options ------------------------------------------------------------------------------------


def step(
    u: Float64[np.ndarray, "n"], k: int, dt: float, w: complex = 1j
) -> Float64[np.ndarray, "n"]: ...


SIZES = {"n": 4, "k": 2}


@pytest.mark.parametrize(
    ("workloads", "message"),
    [
        ({}, r'step has no workload; write workloads=\{"small": dict\(n=256, k=256\)\}'),
        ({"w": {"n": 4}}, r"workload 'w' of step gives no size for \['k'\]"),
        ({"w": {**SIZES, "m": 3}}, r"names \['m'\]; it may name the sizes \['n', 'k'\] and"),
        ({"w": {**SIZES, "u": 3}}, r"names \['u'\]"),
        ({"w": {"n": 4.0, "k": 2}}, "n=4.0 is not an integer"),
        ({"w": {"n": "4", "k": 2}}, "n='4' is not an integer"),
        ({"w": {"n": True, "k": 2}}, "n=True is not an integer"),
        ({"w": {"n": -1, "k": 2}}, "negative extent"),
        ({"w": {**SIZES, "w": 1j}}, "w=1j is not a real number"),
        ({"w": {**SIZES, "dt": "fast"}}, "dt='fast' is not a real number"),
        (SIZES, "maps a name to sizes"),
        ({1: SIZES}, "maps a name to sizes"),
    ],
)
def test_workloads_that_are_refused(workloads, message):
    refused(step, message, workloads)


def test_workloads_keep_their_order_and_take_numpy_numbers():
    given = {"b": {"k": np.int32(3), "n": 5, "dt": np.float32(0.5)}, "a": SIZES}
    found = build(step, given).workloads
    assert found == (Workload("b", {"n": 5, "k": 3}, {"dt": 0.5}), Workload("a", SIZES))
    assert list(found[0].sizes) == ["n", "k"]
    assert type(found[0].sizes["k"]) is int


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mutates": ("v",)}, r"mutates names \['v'\], which step does not take"),
        ({"mutates": ("k",)}, "mutates names 'k', which is a scalar"),
        ({"mutates": "u"}, r'mutates is a tuple of names; write mutates=\("u",\)'),
        ({"where": "n >"}, "'n >' is not an expression"),
        ({"where": "len(n) > 2"}, "uses Call; only arithmetic"),
        ({"where": "N >= 2"}, "where='N >= 2' must be about sizes, which are n, k"),
        ({"where": "n > dt"}, "must be about sizes, which are n, k"),
        ({"where": "n > 4"}, r"workload 'w' of step, \{.*\}, does not satisfy where='n > 4'"),
        ({"reduction": "m"}, r"reduction='m' names \['m'\]; the sizes are n, k"),
        ({"reduction": "n //"}, "is not an expression"),
        ({"reduction": "n // (k-2)"}, "cannot be evaluated"),
        ({"split": {"m": Block()}}, r"split names \['m'\]; the dims are \['n'\]"),
        ({"split": {"k": Block()}}, r"split names \['k'\]"),
        ({"split": {"n": Block(halo=(1, -1))}}, "a halo is at least 0"),
        ({"split": {"n": Block(minimum=0)}}, "a minimum at least 1"),
        ({"tolerance": -1e-3}, "tolerance=-0.001 is no finite number of at least 0"),
        ({"tolerance": np.inf}, "no finite number"),
        ({"tolerance": np.nan}, "no finite number"),
        ({"tolerance": True}, "no finite number"),
        ({"tolerance": Tolerance(atol=-1.0)}, "no finite number"),
    ],
)
def test_options_that_are_refused(options, message):
    refused(step, message, {"w": SIZES}, **options)


def test_options_that_are_accepted():
    contract = build(
        step,
        {"w": SIZES},
        mutates=["u"],
        where=" n == 2**q and k < n",
        reduction="n // k",
        tolerance=np.float64(1e-6),
        reproducible=True,
        split={"n": Block(halo=(0, 2))},
    )
    assert contract.mutated[0].name == "u"
    assert contract.tolerance == Tolerance(rtol=1e-6)
    assert contract.split["n"].halo == (0, 2)
    assert [r.name for r in contract.results] == ["u", "out"]
    assert contract.workload("w").sizes == SIZES
    with pytest.raises(KeyError):
        contract.workload("v")


def test_an_int_argument_that_is_a_dim_is_given_once():
    def histogram(x: Int32[np.ndarray, "n"], bins: int) -> Float64[np.ndarray, "bins+1"]: ...

    contract = build(histogram, {"w": {"n": 9, "bins": 3}})
    assert contract.dims == ("n",)
    assert size_names(contract) == ("n", "bins")
