"""The values that travel between the rooms: contracts, drafts, variants, trials, promotions.

All are frozen, tagged `msgspec.Struct` values, stored and hashed by `outpace.codec`.
"""

from __future__ import annotations

from enum import StrEnum

from outpace.codec import Value, content_hash
from outpace.roofline import Roofline
from outpace.split import Reduced, Split

Scalar = bool | int | float | str
"""What a tuning parameter may be bound to."""


class Status(StrEnum):
    """How a trial ended. Only `FASTER` can be promoted.

    `CHECKED` is right in simulation and not timed, for want of the hardware that it is for.
    """

    INVALID = "invalid"
    BUILD_FAILED = "build-failed"
    WRONG = "wrong"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OVER_LIMIT = "over-limit"
    BLOCKED = "blocked"
    SUSPECT = "suspect"
    NOT_FASTER = "not-faster"
    CHECKED = "checked"
    INCONCLUSIVE = "inconclusive"
    FASTER = "faster"


class Grade(StrEnum):
    """How well a draft's process was isolated while it was judged.

    A: process, seccomp, Landlock and namespaces. B: without one of the last two. C: process and
    seccomp. D: a process alone.
    """

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class Residence(StrEnum):
    """Where the arrays of a call lie: in the host's memory, or in a GPU's."""

    HOST = "host"
    DEVICE = "device"


# --- Contract -----------------------------------------------------------------------------------


class Argument(Value, frozen=True):
    """One parameter of a reference.

    Attributes:
        name: Name in the signature.
        dtype: NumPy dtype name. Scalars: `int64`, `float64`, `complex128` or `bool`, or the
            narrower NumPy scalar type that was annotated.
        dims: One affine expression per axis, or None for a scalar.
        mutated: Whether the reference writes into it (declared by `mutates`).
    """

    name: str
    dtype: str
    dims: tuple[str, ...] | None = None
    mutated: bool = False

    @property
    def is_array(self) -> bool:
        """Whether this is an array rather than a scalar."""
        return self.dims is not None


class Output(Value, frozen=True):
    """One returned value. A scalar return (`scalar=True`) is passed as an array of shape (1,)."""

    name: str
    dtype: str
    dims: tuple[str, ...]
    scalar: bool = False


class Workload(Value, frozen=True):
    """A named problem size: every dim and every int argument, and scalars that it fixes."""

    name: str
    sizes: dict[str, int]
    scalars: dict[str, float] = {}


class Tolerance(Value, frozen=True):
    """An explicit acceptance band `|c - r| <= atol + rtol * |r|` instead of the derived rule."""

    rtol: float = 0.0
    atol: float = 0.0


class Contract(Value, frozen=True):
    """What a reference promises, and what a draft of it must keep.

    Attributes:
        arguments: In signature order.
        outputs: Returned values, left to right; empty if the reference returns None.
        dims: Names of the free dims in order of first appearance (int arguments that are used
            as a dim are arguments, not dims).
        workloads: The problem sizes that count.
        where: Python expression over the dims and int arguments that limits the domain, or None.
        reduction: Expression for the reduction length L, or None for the derived one.
        tolerance: Explicit tolerance, or None for the derived acceptance rule.
        reproducible: Whether reassociation of sums is forbidden.
        split: How dims may be cut over ranks.
        steps: The int argument that counts time steps, or None.
        reduce: Outputs that are reductions over cut dims, by name.
    """

    arguments: tuple[Argument, ...]
    outputs: tuple[Output, ...]
    dims: tuple[str, ...]
    workloads: tuple[Workload, ...]
    where: str | None = None
    reduction: str | None = None
    tolerance: Tolerance | None = None
    reproducible: bool = False
    split: dict[str, Split] = {}
    steps: str | None = None
    reduce: dict[str, Reduced] = {}

    @property
    def mutated(self) -> tuple[Argument, ...]:
        """Arguments that are written in place."""
        return tuple(a for a in self.arguments if a.mutated)

    @property
    def parts(self) -> tuple[Argument | Output, ...]:
        """Every argument, then every output."""
        return (*self.arguments, *self.outputs)

    @property
    def results(self) -> tuple[Argument | Output, ...]:
        """Everything a caller can see afterwards: mutated arguments, then returned outputs."""
        return (*self.mutated, *self.outputs)

    def workload(self, name: str) -> Workload:
        """The workload of that name; raises KeyError."""
        for workload in self.workloads:
            if workload.name == name:
                return workload
        raise KeyError(name)


# --- Draft and variant --------------------------------------------------------------------------


class Parameter(Value, frozen=True):
    """A tunable constant of a draft and the values it may take, the default first.

    Attributes:
        name: An identifier.
        values: All numbers (booleans among them), or all strings.
        when: Expression over other parameters; where it does not hold, this one does not matter
            and keeps its first value. None where it always matters.
    """

    name: str
    values: tuple[Scalar, ...]
    when: str | None = None


class Provenance(Value, frozen=True):
    """Where a draft came from.

    Attributes:
        drafter: Name of the drafter.
        idea: A few words that name the draft.
        model: Name of the language model that wrote it, or None.
        prompt_hash: Content hash of what the model was asked.
        parent: Hash of the draft that it was asked to improve, or None for a first one.
        tokens: Its share of the tokens of the request that brought it.
        cost: What these cost in US dollars.
    """

    drafter: str
    idea: str = ""
    model: str | None = None
    prompt_hash: str | None = None
    parent: str | None = None
    tokens: int | None = None
    cost: float | None = None


class Draft(Value, frozen=True):
    """Source in one language with a declared search space.

    Attributes:
        language: Name of a module in `outpace.kernels.languages`.
        source: Source text without its `outpace:` header line.
        parameters: The search space.
        constraints: Python expressions over parameter names; all must hold.
        flags: Options of the language, for example `{"fastmath": True}`.
        provenance: Who drafted it; not part of the hash.
    """

    language: str
    source: str
    parameters: tuple[Parameter, ...] = ()
    constraints: tuple[str, ...] = ()
    flags: dict[str, Scalar] = {}
    provenance: Provenance = Provenance("user")

    @property
    def hash(self) -> str:
        """Content hash over everything but the provenance."""
        return content_hash(
            [
                self.language,
                self.source,
                [
                    [p.name, list(p.values), *([p.when] if p.when is not None else [])]
                    for p in self.parameters
                ],
                list(self.constraints),
                self.flags,
            ]
        )


class Variant(Value, frozen=True):
    """A draft with every parameter bound."""

    draft: Draft
    params: dict[str, Scalar] = {}

    @property
    def hash(self) -> str:
        """Content hash of draft and binding."""
        return content_hash([self.draft.hash, self.params])

    @property
    def label(self) -> str:
        """Short name for people: the idea, and the parameters."""
        bound = ",".join(f"{k}={v}" for k, v in self.params.items())
        idea = self.draft.provenance.idea or self.draft.language
        return f"{idea} [{bound}]" if bound else idea


# --- Target -------------------------------------------------------------------------------------


class Target(Value, frozen=True):
    """Hardware and toolchain. `key` covers what a promotion depends on, the rest is recorded.

    Attributes:
        architecture: For example `x86_64`.
        cpu: CPU model name with its vector extension.
        cores: Cores this process may run on.
        gpu: Name of the GPU, or None.
        driver: Major version of its driver, or None.
        versions: Compilers and libraries; recorded, never part of the key.
    """

    architecture: str
    cpu: str
    cores: int
    gpu: str | None = None
    driver: str | None = None
    versions: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Content hash over hardware alone."""
        return content_hash([self.architecture, self.cpu, self.cores, self.gpu, self.driver])


# --- Trial --------------------------------------------------------------------------------------


class Speedup(Value, frozen=True):
    """Baseline time over variant time: median over process pairs and its interval."""

    median: float
    low: float
    high: float
    confidence: float = 0.95


class Conditions(Value, frozen=True):
    """What disturbed the timing of a process pair.

    Attributes:
        others: Share of the allowed cores' time that other processes used.
        idle: Share of it that nothing used.
        stolen: Share of the allowed cores' time that a hypervisor gave to others.
        throttled: Whether a core was slowed by heat, or the control group had used up its share.
    """

    others: float = 0.0
    idle: float = 0.0
    stolen: float = 0.0
    throttled: bool = False


class PairSamples(Value, frozen=True):
    """Interleaved timings of one fresh process pair, seconds per call, one entry per pair."""

    baseline: tuple[float, ...]
    variant: tuple[float, ...]
    order: str = ""
    """One letter per pair: `b` if the baseline ran first, `v` if the variant did."""
    conditions: Conditions = Conditions()


class Mismatch(Value, frozen=True):
    """The first output element outside its acceptance band."""

    output: str
    index: tuple[int, ...]
    expected: float | str
    got: float | str
    allowed: float | str
    count: int = 1
    """How many elements were outside."""


class Counterexample(Value, frozen=True):
    """How to draw the inputs on which a draft failed again, and where it failed."""

    sizes: dict[str, int]
    seed: int
    flavour: str
    mismatch: Mismatch | None = None
    scalars: dict[str, float] = {}


class Trial(Value, frozen=True):
    """What happened when a variant met a workload on a target.

    Attributes:
        draft: Hash of the draft.
        language: Its language.
        params: Bound parameters.
        workload: Name of the workload, or `""` when the trial ended before one was reached.
        status: How it ended.
        reason: One sentence for a person.
        grade: Isolation under which it ran.
        stage: `draft`, `check`, `screen` or `confirm`.
        speedup: Over the baseline named by `baseline`; None unless timed.
        baseline: Hash of the incumbent, or `reference`.
        samples: Raw timings, one entry per process pair.
        counterexample: Inputs and element that showed it wrong.
        label: What the draft calls itself.
        details: Facts for feedback, such as a compiler's message.
        tokens: What a model spent on the draft, the same in every trial of it; None without one.
        cost: The same in US dollars.
        roofline: With arrays on a GPU, where its time stands; None elsewhere.
    """

    draft: str
    language: str
    params: dict[str, Scalar]
    workload: str
    status: Status
    reason: str
    grade: Grade = Grade.D
    stage: str = "check"
    speedup: Speedup | None = None
    baseline: str = "reference"
    samples: tuple[PairSamples, ...] = ()
    counterexample: Counterexample | None = None
    label: str = ""
    details: str = ""
    tokens: int | None = None
    cost: float | None = None
    roofline: Roofline | None = None


# --- Promotion ----------------------------------------------------------------------------------


class PromotionKey(Value, frozen=True):
    """When a promotion may be served.

    Attributes:
        source_hash: Of the reference with all that it captures.
        dtypes: Of the arguments, then of the outputs.
        layout: Memory layout of every array: `C`, `C blocks` for a program on ranks, or
            `C on a GPU`.
        target: `Target.key`.
        ranks: Number of MPI ranks.
        sizes: The confirmed problem sizes; they are served within 0.5 to 2 times.
    """

    source_hash: str
    dtypes: tuple[str, ...]
    layout: str
    target: str
    ranks: int = 1
    sizes: tuple[dict[str, int], ...] = ()

    @property
    def hash(self) -> str:
        """Content hash of all fields; names the promotion's folder."""
        return content_hash(
            [
                self.source_hash,
                list(self.dtypes),
                self.layout,
                self.target,
                self.ranks,
                list(self.sizes),
            ]
        )


class Evidence(Value, frozen=True):
    """Why a promotion was made for one workload.

    Attributes:
        workload: The confirmed problem size.
        speedup: Over the reference, confirmed.
        over_incumbent: Over the promotion it replaced, or None.
        over_numba: Over the plain Numba draft (screened, not confirmed), or None.
        roofline: With arrays on a GPU, where the confirmed time stands; None elsewhere.
        samples: Raw timings of the confirmation.
        verification: How outputs were verified: `high-precision`, `native` or `declared`.
        checks: Counts, for example `{"drawn cases": 24, "timed outputs": 480, "full rule": 30}`.
        alpha: False-promotion probability spent on this confirmation.
    """

    workload: Workload
    speedup: Speedup
    samples: tuple[PairSamples, ...]
    verification: str
    checks: dict[str, int]
    alpha: float
    over_incumbent: Speedup | None = None
    over_numba: float | None = None
    roofline: Roofline | None = None


class RankEvidence(Evidence, frozen=True):
    """Why a program for ranks was promoted for one workload.

    Attributes:
        over_serial: Over the best variant on one thread, confirmed; None where there is none.
        over_threaded: The same over the best variant on threads of the same cores.
    """

    over_serial: Speedup | None = None
    over_threaded: Speedup | None = None


class Promotion(Value, frozen=True):
    """A variant with its evidence and the key under which it may be served."""

    reference: str
    key: PromotionKey
    variant: Variant
    evidence: tuple[Evidence | RankEvidence, ...]
    target: Target
    grade: Grade
    contract: Contract
    refused_sizes: tuple[dict[str, int], ...] = ()
    """Drawn sizes at which the reference raises; never served."""
    created: str = ""
    """UTC time, ISO 8601."""
