"""What every language of drafts must do; a new language adds an `Author` and passes the suite."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float32, Float64, Int32

from outpace.codegen.abi import Role, output_shapes, slots
from outpace.codegen.contract import SUPPORTED_DTYPES, build_contract
from outpace.codegen.dims import shape_of
from outpace.errors import DraftError, UsageError
from outpace.kernels.languages import LANGUAGES, language_named
from outpace.kernels.languages.base import (
    BuildError,
    InvalidDraft,
    parse_draft,
    read_draft,
    render_draft,
)
from outpace.model import Draft, Parameter, Provenance, Status, Variant
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
}  # fmt: skip
ARRAYS = {
    name: getattr(jaxtyping, name.capitalize().replace("Ui", "UI")) for name in SUPPORTED_DTYPES
}
VALUES = {"b": [True, False], "i": [-3, 100], "u": [3, 200], "f": [-0.1, 1e30], "c": [1 - 2j, 0.1j]}


@pytest.fixture(params=LANGUAGES)
def language(request):
    found = language_named(request.param)
    if found.unavailable():
        pytest.skip(found.unavailable())
    return found


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
    with Worker(contract, folder, bytes_of(contract, sizes), variant=variant) as worker:
        worker.prepare([Call(sizes, values)])
        worker.run(20.0)
        return [np.array(result) for result in worker.results()]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)


def cache_of(path):
    """Where the process of a draft looks for the build."""
    return path.parent / "build"


def both_ways(language, put, contract, source, sizes, values, expected):
    """In this process, and in one of its own that finds the build in the cache."""
    path, variant = put(source)
    language.build(path, contract, cache_of(path))
    kernel = language.load(path, contract, cache_of(path))
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
    kernel = language.load(path, contract, cache_of(path))
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
        kernel = language.load(path, PLAIN, cache_of(path))
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


def test_a_promotion_is_built_once(language, author, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    variant = Variant(Draft(language.name, author.scaled), {"FACTOR": 3})
    u = np.arange(3.0)
    states = []
    for _ in range(2):
        kernel = language.load_promoted(tmp_path / "unread", variant, PLAIN)
        assert_same(in_process(kernel, PLAIN, {"n": 3}, {"u": u}), [3 * u])
        states.append(snapshot(tmp_path / "cache"))
    assert states[0] == states[1] != {}


def _each(kind):
    return [
        pytest.param(name, source, id=f"{name}-{label}")
        for name, author in AUTHORS.items()
        for label, source in getattr(author, kind).items()
    ]


@pytest.mark.parametrize(("name", "source"), _each("broken"))
def test_what_does_not_compile_is_a_build_error(name, source, tmp_path):
    language = language_named(name)
    path = tmp_path / f"draft{language.suffix}"
    path.write_text(source)
    with pytest.raises(BuildError, match=r"\w"):
        language.build(path, PLAIN, tmp_path)


@pytest.mark.parametrize(("name", "source"), _each("invalid"))
def test_what_defines_no_kernel_is_invalid(name, source, tmp_path):
    language = language_named(name)
    path = tmp_path / f"draft{language.suffix}"
    path.write_text(source)
    with pytest.raises(InvalidDraft, match="kernel"):
        language.build(path, PLAIN, tmp_path)


def test_a_process_of_its_own_says_the_same(language, author, put):
    for kind, status in (("broken", Status.BUILD_FAILED), ("invalid", Status.INVALID)):
        path, variant = put(next(iter(getattr(author, kind).values())))
        with pytest.raises(Failure) as caught:
            in_worker(PLAIN, path.parent, variant, {"n": 3}, {"u": np.zeros(3)})
        assert caught.value.status is status


def test_every_language_is_under_the_suite():
    assert set(AUTHORS) == set(LANGUAGES)
    for name in LANGUAGES:
        assert language_named(name).name == name
    with pytest.raises(UsageError, match=f"no language 'basic'; there are {LANGUAGES[0]}"):
        language_named("basic")


# --- The header line ----------------------------------------------------------------------------

NUMBERS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES_OF_PARAMETERS = NUMBERS | st.text(max_size=4)
NAMES = st.sampled_from(["TILE", "unroll", "λ", "T2"])
SOURCES = st.sampled_from(
    ["", "x = 1\n", "# outpace: {}\nx", "// outpace: no", "\n\nä\n", "# a\r\n"]
)
DRAFTS = st.builds(
    lambda source, values, constraints, flags: (source, values, constraints, flags),
    SOURCES,
    st.dictionaries(NAMES, st.lists(VALUES_OF_PARAMETERS, min_size=1, max_size=3, unique=True)),
    st.lists(st.sampled_from(["1 < 2", "3 % 2 == 1"]), max_size=2),
    st.dictionaries(st.text(max_size=4), VALUES_OF_PARAMETERS, max_size=2),
)  # fmt: skip


@pytest.mark.parametrize("name", LANGUAGES)
@given(DRAFTS)
def test_a_draft_file_is_read_back(name, parts):
    source, values, constraints, flags = parts
    draft = Draft(
        name,
        source,
        tuple(Parameter(n, tuple(v)) for n, v in values.items()),
        tuple(constraints),
        flags,
        Provenance("builtin", idea="tiles"),
    )
    language = language_named(name)
    assert parse_draft(render_draft(draft, language), language, draft.provenance) == draft


def parsed(language, header):
    return parse_draft(f"{language.comment} outpace: {header}\ncode", language, Provenance("user"))


def test_what_a_header_may_say(language):
    header = '{"parameters": {"T": [4, 4, 2], "U": 3}, "constraints": ["T > 1"], "idea": "tiles"}'
    draft = parsed(language, header)
    assert draft.parameters == (Parameter("T", (4, 2)), Parameter("U", (3,)))
    assert draft.provenance == Provenance("user", idea="tiles")
    assert draft.source == "code"
    assert parsed(language, f'{{"language": "{language.name}"}}').language == language.name


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[1]", "must be a JSON object with keys among parameters, constraints, flags"),
        ('{"params": {}}', "must be a JSON object with keys among"),
        ('{"parameters": []}', "`parameters` in the header line must be a JSON object"),
        ('{"constraints": "T > 1"}', "`constraints` in the header line must be a JSON array"),
        ('{"flags": []}', "`flags` in the header line must be a JSON object"),
        ('{"idea": 3}', "`idea` in the header line must be a JSON string"),
        ('{"flags": {"a": [1]}}', "the flag 'a' must be a number"),
        ('{"parameters": {"T": []}}', "parameter 'T' needs a list of numbers"),
        ('{"parameters": {"T": [null]}}', "parameter 'T' needs a list of numbers"),
        ('{"parameters": {"T": {"a": 1}}}', "parameter 'T' needs a list of numbers"),
        ('{"parameters": {"T": [NaN]}}', "NaN is no JSON number"),
        ('{"parameters": {"T": [-Infinity]}}', "-Infinity is no JSON number"),
        ('{"parameters": {"a b": [1]}}', "'a b' is not an identifier"),
        ('{"parameters": {"if": [1]}}', "'if' is not an identifier"),
        ('{"constraints": ["T > 1"]}', r"constraint 'T > 1' names \['T'\], no parameter"),
        ('{"constraints": ["f(1)"]}', r"constraint 'f\(1\)': .*only arithmetic"),
        ('{"language": "basic"}', "the draft says it is basic, not"),
    ],
)
def test_a_malformed_header_says_what_is_wrong(language, header, message):
    with pytest.raises(DraftError, match=message):
        parsed(language, header)


def test_a_file_that_is_no_draft(language, tmp_path):
    path = tmp_path / "tiled.txt"
    with pytest.raises(DraftError, match="cannot be read"):
        read_draft(path, language)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DraftError, match="not text"):
        read_draft(path, language)
    path.write_text("code")
    assert read_draft(path, language).provenance == Provenance("user", idea="tiled")
