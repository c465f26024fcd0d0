"""What every language of drafts must do; a new language adds an `Author` and passes the suite."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float32, Float64, Int32

from outpace.codegen.abi import Role, output_shapes, slots
from outpace.codegen.contract import SUPPORTED_DTYPES, build_contract
from outpace.codegen.dims import shape_of
from outpace.errors import UsageError
from outpace.kernels.languages import LANGUAGES, language_named
from outpace.kernels.languages.base import BuildError, InvalidDraft
from outpace.model import Draft, Status, Variant
from outpace.tuner.process import Call, Failure, Worker, bytes_of


@dataclass(frozen=True)
class Author:
    """How tests write drafts in one language.

    Attributes:
        echo: Kernel that adds 1 to mutated arrays and copies input i to output i; an output without
            an input of its own takes the last input.
        scaled: `out[i] = u[i] * FACTOR` where FACTOR is a parameter of the draft.
        default: What to add to `scaled` for a FACTOR of the draft's own, 3.
        broken: Drafts that do not compile.
        invalid: Drafts that define no `kernel(u, out)`.
    """

    echo: object
    scaled: str
    default: str
    broken: dict[str, str]
    invalid: dict[str, str]


def _numba_echo(contract):
    listed = slots(contract)
    inputs = [s for s in listed if s.role is not Role.OUTPUT]
    outputs = [s for s in listed if s.role is Role.OUTPUT]
    lines = ["import numba", "", "", "@numba.njit"]
    lines.append(f"def kernel({', '.join(s.name for s in listed)}):")
    for slot in inputs:
        if slot.role is Role.INOUT:
            lines += _numba_loop(slot, f"{slot.name}[{_at(slot)}] + 1")
    for i, slot in enumerate(outputs):
        source = inputs[min(i, len(inputs) - 1)]
        value = source.name if source.role is Role.SCALAR else f"{source.name}[{_at(source)}]"
        lines += _numba_loop(slot, value)
    return "\n".join([*lines, "    return"]) + "\n"


def _at(slot):
    return ", ".join(f"i{axis}" for axis in range(len(slot.dims))) or "()"


def _numba_loop(slot, value):
    lines = [
        f"{' ' * 4 * (axis + 1)}for i{axis} in range({slot.name}.shape[{axis}]):"
        for axis in range(len(slot.dims))
    ]
    return [*lines, f"{' ' * 4 * (len(lines) + 1)}{slot.name}[{_at(slot)}] = {value}"]


def _c_echo(contract):
    listed = slots(contract)
    inputs = [s for s in listed if s.role is not Role.OUTPUT]
    outputs = [s for s in listed if s.role is Role.OUTPUT]
    dims = [f"int64_t {name}" for name in contract.dims]
    lines = [f"void kernel({', '.join([*dims, *(_c_parameter(slot) for slot in listed)])})", "{"]
    lines += [_c_loop(s, f"{s.name}[i] + 1") for s in inputs if s.role is Role.INOUT]
    for i, slot in enumerate(outputs):
        source = inputs[min(i, len(inputs) - 1)]
        lines.append(_c_loop(slot, source.name + "[i]" * (source.role is not Role.SCALAR)))
    return "\n".join([*lines, "}"]) + "\n"


def _c_parameter(slot):
    dtype = np.dtype(slot.dtype)
    kind = {"float32": "float", "float64": "double", "bool": "uint8_t"}.get(slot.dtype)
    if dtype.kind == "c":
        kind = f"{'double' if dtype.itemsize == 16 else 'float'} _Complex"
    kind = kind or f"{slot.dtype}_t"
    if slot.role is Role.SCALAR:
        return f"{kind} {slot.name}"
    return f"{'const ' * (slot.role is Role.INPUT)}{kind} *restrict {slot.name}"


def _c_loop(slot, value):
    size = " * ".join(f"({dim})" for dim in slot.dims) or "1"
    return f"    for (int64_t i = 0; i < {size}; i++) {slot.name}[i] = {value};"


C_KERNEL = "void kernel(int64_t n, const double *restrict u, double *restrict out)"
NJIT = "import numba\n@numba.njit\ndef kernel(u, out):\n"
AUTHORS = {
    "numba": Author(
        echo=_numba_echo,
        scaled='"""A docstring."""\nfrom __future__ import annotations\n' + NJIT
        + "    for i in range(u.size):\n        out[i] = u[i] * FACTOR\n",
        default="\nFACTOR = (\n    3)\n",
        broken={
            "syntax": "def kernel(u, out) pass\n",
            "null byte": "def kernel(u, out):\n    '\0'\n",
            "unknown name": NJIT + "    return missing(u)\n",
            "types": NJIT + "    out[0] = u['a']\n",
            "types at import": NJIT.replace("njit", "njit('void(i8, i8)')") + "    u.x\n",
            "fixed signature": NJIT.replace("njit", "njit('void(f4[:], f4[:])')") + "    pass\n",
        },
        invalid={
            "nothing": "",
            "other name": "def other(u, out):\n    pass\n",
            "number": "kernel = 3\n",
            "class": "class kernel:\n    def __init__(self, u, out): pass\n",
            "ufunc": "import numpy as np\nkernel = np.add\n",
            "too few": "def kernel(u):\n    pass\n",
            "too many": "import numba\n@numba.njit\ndef kernel(u, k, out):\n    pass\n",
            "keyword-only": "def kernel(u, *, out):\n    pass\n",
        },
    ),
    "c": Author(
        echo=_c_echo,
        scaled="#include <stdint.h>\n" + C_KERNEL
        + "\n{\n    for (int64_t i = 0; i < n; i++) out[i] = u[i] * FACTOR;\n}\n",
        default="\n # define FACTOR \\\n    3\n",
        broken={
            "syntax": C_KERNEL + " out",
            "unknown name": C_KERNEL + " { out[0] = FACTOR; }\n",
            "undeclared function": C_KERNEL + " { out[0] = sin(u[0]); }\n",
            "undefined function": "double f(void);\n" + C_KERNEL + " { out[0] = f(); }\n",
            "types": C_KERNEL + " { out[0] = u; }\n",
            "pointer types": C_KERNEL + " { float *v = out; v[0] = 0; }\n",
            "no such file": '#include "secret.h"\n' + C_KERNEL + " {}\n",
            "includes itself": "#include __FILE__\n" + C_KERNEL + " {}\n",
            "assembler": C_KERNEL + ' { __asm__("bogus"); }\n',
        },
        invalid={
            "nothing": "",
            "other name": C_KERNEL.replace("kernel", "other") + " {}\n",
            "number": "int kernel = 3;\n",
            "static": "static " + C_KERNEL + " {}\n",
            "result": C_KERNEL.replace("void", "int") + " { return 0; }\n",
            "too few": "void kernel(int64_t n, const double *restrict u) {}\n",
            "too many": C_KERNEL.replace(")", ", double t)") + " {}\n",
            "int": C_KERNEL.replace("int64_t", "int") + " {}\n",
            "not const": C_KERNEL.replace("const ", "") + " {}\n",
            "only declared": C_KERNEL + ";\n",
        },
    ),
}  # fmt: skip
ARRAYS = {
    name: getattr(jaxtyping, name.capitalize().replace("Ui", "UI")) for name in SUPPORTED_DTYPES
}
VALUES = {"b": [True, False], "i": [-3, 100], "u": [3, 200], "f": [-0.1, 1e30], "c": [1 - 2j, 0.1j]}


def available(name):
    found = language_named(name)
    if found.unavailable():
        pytest.skip(found.unavailable())
    return found


@pytest.fixture(params=LANGUAGES)
def language(request):
    return available(request.param)


@pytest.fixture
def author(language):
    return AUTHORS[language.name]


@pytest.fixture
def put(language, tmp_path):
    """Write a bound draft as the judge does."""

    def write(source, params=None):
        variant = Variant(Draft(language.name, source), params or {})
        path = tmp_path / f"draft{language.suffix}"
        path.write_text(language.bind(variant))
        return path, variant

    return write


def contract_of(annotations, mutates=(), **sizes):
    """A contract of a function with these annotations, `return` last."""
    names = [name for name in annotations if name != "return"]
    namespace = {}
    exec(f"def fn({', '.join(names)}): ...", namespace)
    namespace["fn"].__annotations__ = annotations
    return build_contract(namespace["fn"], workloads={"w": sizes}, mutates=mutates)


def fitting(dtype, shape=None):
    """Values that show a wrong dtype, sign or order."""
    picked = itertools.cycle(VALUES[np.dtype(dtype).kind])
    if shape is None:
        return np.array(next(picked)).astype(dtype)[()]
    return np.array([*itertools.islice(picked, int(np.prod(shape)))]).astype(dtype).reshape(shape)


def in_process(kernel, contract, sizes, values):
    """Call a kernel over poisoned outputs; what is mutated is copied first."""
    given = [np.copy(v) if isinstance(v, np.ndarray) else v for v in values.values()]
    outputs = [
        np.frombuffer(bytes([170]) * 16 * max(1, int(np.prod(shape))), "u1").copy()
        for shape in output_shapes(contract, sizes)
    ]
    outputs = [
        o[: int(np.prod(s)) * np.dtype(out.dtype).itemsize].view(out.dtype).reshape(s)
        for o, s, out in zip(outputs, output_shapes(contract, sizes), contract.outputs, strict=True)
    ]
    assert kernel(*given, *outputs) is None
    mutated = [v for a, v in zip(contract.arguments, given, strict=True) if a.mutated]
    return mutated + outputs


def in_worker(contract, folder, variant, sizes, values):
    """Call a kernel in a process of its own that finds it built."""
    with Worker(contract, folder, bytes_of(contract, sizes), variant=variant) as worker:
        worker.prepare([Call(sizes, values)])
        worker.run(20.0)
        return [np.array(result) for result in worker.results()]


def build_in_worker(path, variant):
    """Build in a process of its own, as the judge does."""
    cache_of(path).mkdir()
    with Worker(PLAIN, path.parent, (0, 0), variant=variant, building=True, start_limit=60.0):
        pass


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)


def cache_of(path):
    """Where the process of a draft looks for the build."""
    return path.parent / "build"


def built(language, path, contract):
    language.build(path, contract, cache_of(path))
    return language.load(path, contract, cache_of(path))


def both_ways(language, put, contract, source, sizes, values, expected):
    """In this process, and in one of its own that finds the build in the cache."""
    path, variant = put(source)
    kernel = built(language, path, contract)
    assert_same(in_process(kernel, contract, sizes, values), expected)
    assert_same(in_worker(contract, path.parent, variant, sizes, values), expected)


# --- The calling convention ---------------------------------------------------------------------


def test_arrays_and_scalars_of_every_dtype(language, author, put):
    annotations = {f"a_{d}": ARRAYS[d][np.ndarray, "n"] for d in SUPPORTED_DTYPES}
    annotations |= {f"s_{d}": np.dtype(d).type for d in SUPPORTED_DTYPES}
    results = [annotations[f"a_{d}"] for d in SUPPORTED_DTYPES]
    results += [annotations[f"s_{d}"] for d in SUPPORTED_DTYPES]
    ints = {f"s_{d}": int(fitting(d)) for d in SUPPORTED_DTYPES if "int" in d}
    contract = contract_of({**annotations, "return": tuple[tuple(results)]}, n=5, **ints)
    values = {f"a_{d}": fitting(d, (5,)) for d in SUPPORTED_DTYPES}
    values |= {f"s_{d}": fitting(d) for d in SUPPORTED_DTYPES}
    expected = [np.atleast_1d(value) for value in values.values()]
    sizes = {"n": 5, **ints}
    both_ways(language, put, contract, author.echo(contract), sizes, values, expected)


def test_python_scalars(language, author, put):
    kinds = (bool, int, float, complex)
    annotations = {f"s{i}": kind for i, kind in enumerate(kinds)}
    contract = contract_of({**annotations, "return": tuple[kinds]}, s1=-7)
    values = {"s0": True, "s1": -7, "s2": -0.0, "s3": complex(np.inf, -2)}
    expected = [np.array([value]) for value in values.values()]
    both_ways(language, put, contract, author.echo(contract), {"s1": -7}, values, expected)


RANKS = [Float64[np.ndarray, " ".join("abcd"[:rank])] for rank in range(5)]


@pytest.fixture(scope="module")
def build_of_ranks(tmp_path_factory):
    """One build of arrays of rank 0 to 4, in place and returned, a language."""
    annotations = {f"u{rank}": kind for rank, kind in enumerate(RANKS)}
    annotations |= {f"v{rank}": kind for rank, kind in enumerate(RANKS)}
    mutates = [f"v{rank}" for rank in range(5)]
    returned = tuple[tuple(RANKS)]
    contract = contract_of({**annotations, "return": returned}, mutates, a=2, b=2, c=2, d=2)
    made = {}

    def build(language):
        if language.name not in made:
            folder = tmp_path_factory.mktemp("ranks")
            variant = Variant(Draft(language.name, AUTHORS[language.name].echo(contract)))
            path = folder / f"draft{language.suffix}"
            path.write_text(language.bind(variant))
            language.build(path, contract, cache_of(path))
            made[language.name] = path, variant
        return contract, *made[language.name]

    return build


@pytest.mark.parametrize("extents", [(2, 3, 4, 5), (1, 1, 1, 1), (0, 2, 0, 3), (3, 0, 1, 2)])
def test_arrays_of_every_rank_and_awkward_extents(language, build_of_ranks, extents):
    contract, path, variant = build_of_ranks(language)
    sizes = dict(zip("abcd", extents, strict=True))
    rng = np.random.default_rng(0)
    values = {a.name: rng.normal(size=shape_of(a.dims, sizes)) for a in contract.arguments}
    expected = [np.asarray(values[f"v{rank}"] + 1) for rank in range(5)]
    expected += [np.asarray(values[f"u{rank}"]) for rank in range(5)]
    kernel = language.load(path, contract, cache_of(path))
    assert_same(in_process(kernel, contract, sizes, values), expected)
    if extents == (0, 2, 0, 3):
        assert_same(in_worker(contract, path.parent, variant, sizes, values), expected)


def test_in_place_alone(language, author, put):
    contract = contract_of(
        {"k": int, "u": Int32[np.ndarray, "n 2"], "return": None}, ("u",), n=3, k=1
    )
    values = {"k": 1, "u": np.arange(6, dtype="i4").reshape(3, 2)}
    sizes = {"n": 3, "k": 1}
    both_ways(language, put, contract, author.echo(contract), sizes, values, [values["u"] + 1])


def test_an_int_argument_as_a_dim_and_affine_dims(language, author, put):
    annotations = {
        "u": Float32[np.ndarray, "2*n+bins"],
        "bins": int,
        "return": tuple[Float32[np.ndarray, "2*n+bins"], Float64[np.ndarray, "bins-1"]],
    }
    contract = contract_of(annotations, n=2, bins=3)
    path, _ = put(author.echo(contract))
    kernel = built(language, path, contract)
    for bins in (1, 4):
        sizes = {"n": 2, "bins": bins}
        values = {"u": fitting("float32", (4 + bins,)), "bins": bins}
        expected = [values["u"], np.full(bins - 1, float(bins))]
        assert_same(in_process(kernel, contract, sizes, values), expected)


# --- Parameters, builds and their cache ---------------------------------------------------------

VECTOR = Float64[np.ndarray, "n"]
PLAIN = contract_of({"u": VECTOR, "return": VECTOR}, n=3)


@pytest.mark.parametrize("value", [2, -3, 0.1, -1e-30, 1e300, True, False])
def test_parameters_are_constants(language, author, put, value):
    u = np.array([1.5, -2.0, 0.0])
    for source in (author.scaled, author.scaled + author.default):
        path, _ = put(source, {"FACTOR": value})
        kernel = built(language, path, PLAIN)
        assert_same(in_process(kernel, PLAIN, {"n": 3}, {"u": u}), [u * value])


def test_a_draft_without_parameters_is_bound_as_it_is(language, author, put):
    path, _ = put(author.scaled + author.default)
    assert path.read_text() == author.scaled + author.default


def test_a_broken_draft_can_be_bound(language, author):
    for source in author.broken.values():
        assert "FACTOR" in language.bind(Variant(Draft(language.name, source), {"FACTOR": 2}))


def snapshot(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in Path(folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_another_process_takes_the_build_from_the_cache(language, author, put):
    path, variant = put(author.echo(PLAIN))
    source = snapshot(path.parent)
    language.build(path, PLAIN, cache_of(path))
    built = snapshot(path.parent)
    assert len(built) > len(source)
    u = np.arange(3.0)
    assert_same(in_worker(PLAIN, path.parent, variant, {"n": 3}, {"u": u}), [u])
    assert snapshot(path.parent) == built


def _each(kind):
    return [
        pytest.param(name, source, id=f"{name}-{label}")
        for name, author in AUTHORS.items()
        for label, source in getattr(author, kind).items()
    ]


@pytest.mark.parametrize(("name", "source"), _each("broken"))
def test_what_does_not_compile_is_a_build_error(name, source, tmp_path):
    language = available(name)
    path = tmp_path / f"draft{language.suffix}"
    path.write_text(source)
    with pytest.raises(BuildError, match=r"\w"):
        language.build(path, PLAIN, tmp_path)


@pytest.mark.parametrize(("name", "source"), _each("invalid"))
def test_what_defines_no_kernel_is_invalid(name, source, tmp_path):
    language = available(name)
    path = tmp_path / f"draft{language.suffix}"
    path.write_text(source)
    with pytest.raises(InvalidDraft, match="kernel"):
        language.build(path, PLAIN, tmp_path)


def test_one_process_builds_and_another_runs(language, author, put):
    path, variant = put(author.echo(PLAIN))
    build_in_worker(path, variant)
    u = np.arange(3.0)
    assert_same(in_worker(PLAIN, path.parent, variant, {"n": 3}, {"u": u}), [u])


@pytest.mark.parametrize(
    ("kind", "status"), [("broken", Status.BUILD_FAILED), ("invalid", Status.INVALID)]
)
def test_a_process_of_its_own_says_the_same(language, author, put, kind, status):
    path, variant = put(next(iter(getattr(author, kind).values())))
    with pytest.raises(Failure) as caught:
        build_in_worker(path, variant)
    assert caught.value.status is status


def test_every_language_is_under_the_suite():
    assert set(AUTHORS) == set(LANGUAGES)
    for name in LANGUAGES:
        assert language_named(name).name == name
    with pytest.raises(UsageError, match=f"no language 'basic'; there are {LANGUAGES[0]}"):
        language_named("basic")
