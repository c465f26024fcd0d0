"""A time loop in C as a wave through the rows of its arrays; see `rewriting.waves`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.parameters import LINES, PARALLEL, TIME
from outpace.codegen.nests.ir import Loop, Nest, Statement
from outpace.codegen.nests.rewriting.waves import Shifts, Stage, Wave

NAMES = frozenset(
    {
        "begin",
        "chunk", "chunks", "count", "edge_high", "edge_low", "end", "far", "first", "from",
        "front", "highest", "last", "lines_high", "lowest", "near", "part", "phase", "row",
        "rows_low", "rows_high", "rest", "most", "start", "threads", "tile", "to", "wave",
        "omp_get_num_threads",
    }
)  # fmt: skip
"""Variables of the text below."""
WAVES_END = "end"
"""Variable that holds where the steps end that make whole waves."""
_TAB = "    "


def wave_lines(
    loop: Loop,
    wave: Wave,
    bounds: tuple[str, str],
    body: Callable[[tuple[Statement, ...]], list[str]],
    rest: Sequence[str],
    *,
    in_team: bool,
) -> list[str]:
    """The loop as far as whole waves go, and then the rest.

    Args:
        loop: The loop.
        wave: What it is as a wave.
        bounds: Its first value and its end.
        body: Writes a block, indented.
        rest: The loop from `WAVES_END` on.
        in_team: Whether all threads of a parallel region execute this.
    """
    start, end = bounds
    main = [s for s in wave.stages if s.row]
    span = wave.left.step + wave.right.step
    least = max(wave.left.stages) + max(wave.right.stages) + 2 * wave.reach + 1
    fronts = [
        "for (int64_t front = first; front < last; front++) {",
        f"{_TAB}for (int64_t wave = 0; wave < count; wave++) {{",
        f"{_TAB * 2}const int64_t {loop.name} = tile + wave * {wave.steps};",
        *(_TAB * 2 + line for k, s in enumerate(wave.stages) for line in _stage(wave, k, s, body)),
        f"{_TAB}}}",
        "}",
    ]
    chunk = [*_chunk_head(wave), *(_by_parts(wave, fronts) if wave.lines else fronts)]
    lines = [
        f"const int64_t rows_low = {affine.text(main[0].low)};",
        f"const int64_t rows_high = {affine.text(main[0].high)};",
        f"const int64_t begin = {start};",
        f"const int64_t end = begin + ({end} - begin) / {wave.steps} * {wave.steps};",
        *([] if in_team else [f"#pragma omp parallel if ({PARALLEL})"]),
        f"for (int64_t tile = begin; tile < end; tile += {wave.steps} * {TIME}) {{",
        f"{_TAB}const int64_t rest = (end - tile) / {wave.steps};",
        f"{_TAB}const int64_t count = rest < {TIME} ? rest : {TIME};",
        f"{_TAB}const int64_t most = (rows_high - rows_low) / (count * {span} + {least});",
        f"{_TAB}const int64_t threads = omp_get_num_threads();",
        f"{_TAB}const int64_t chunks = most < 1 ? 1 : most < threads ? most : threads;",
        f"{_TAB}for (int phase = 0; phase < (chunks > 1 ? 2 : 1); phase++) {{",
        f"{_TAB * 2}#pragma omp for schedule(static)",
        f"{_TAB * 2}for (int64_t chunk = phase; chunk < chunks; chunk++) {{",
        *(_TAB * 3 + line for line in chunk),
        f"{_TAB * 2}}}",
        f"{_TAB}}}",
        "}",
        *rest,
    ]
    return ["{", *(_TAB + line for line in lines), "}"]


def _chunk_head(wave: Wave) -> list[str]:
    """Rows of a chunk, and the fronts that reach all stages in them."""
    left, right = wave.left, wave.right
    return [
        "const int64_t from = rows_low + (rows_high - rows_low) * chunk / chunks;",
        "const int64_t to = rows_low + (rows_high - rows_low) * (chunk + 1) / chunks;",
        f"const int64_t lowest = {_extreme('<', [s.low for s in wave.stages])};",
        f"const int64_t highest = {_extreme('>', [s.high for s in wave.stages])};",
        f"const int64_t first = phase ? from - ({_lean(right, None, 'count')})",
        f"{_TAB}: chunk == 0 ? lowest : from;",
        f"const int64_t last = (phase ? from + {_lean(left, None, 'count')}",
        f"{_TAB}: chunk == chunks - 1 ? highest : to) + {_lean(right, None, 'count')};",
    ]


def _stage(
    wave: Wave, k: int, stage: Stage, body: Callable[[tuple[Statement, ...]], list[str]]
) -> list[str]:
    """What a stage does at a front."""
    low, high = _text(stage.low), _text(stage.high)
    left, right = _lean(wave.left, k, "wave"), _lean(wave.right, k, "wave")
    lines = [
        f"const int64_t row = front - ({right});",
        "const int64_t edge_low =",
        f"{_TAB}phase ? from - ({right}) : chunk == 0 ? {low} : from + {left};",
        "const int64_t edge_high =",
        f"{_TAB}phase ? from + {left} : chunk == chunks - 1 ? {high} : to - ({right});",
        f"if (row >= edge_low && row >= {low} && row < edge_high && row < {high}) {{",
    ]
    if stage.row:
        place = affine.minus(affine.symbol("row"), stage.low)
        lines.append(f"{_TAB}const int64_t {stage.row} = {affine.text(place)};")
    inner = _in_part(wave, k, body) if wave.lines else body(stage.body)
    return ["{", *(_TAB + line for line in (*lines, *inner, "}")), "}"]


def _by_parts(wave: Wave, fronts: Sequence[str]) -> list[str]:
    """All fronts for a few lines at a time."""
    low = _extreme("<", [s.low for s in wave.lines])
    high = _extreme(">", [s.high for s in wave.lines])
    return [
        f"const int64_t lines_high = {high} + {_lean(wave.across, None, 'count')};",
        f"for (int64_t part = {low}; part < lines_high; part += {LINES}) {{",
        *(_TAB + line for line in fronts),
        "}",
    ]


def _in_part(wave: Wave, k: int, body: Callable[[tuple[Statement, ...]], list[str]]) -> list[str]:
    """What a stage does with the lines of a part."""
    stage = wave.lines[k]
    low, high, lean = _text(stage.low), _text(stage.high), _lean(wave.across, k, "wave")
    near, far = affine.symbol("near"), affine.symbol("far")
    (nest,) = stage.body
    if stage.row:
        assert isinstance(nest, Nest)
        moved = {stage.row: affine.plus(affine.symbol(stage.row), affine.minus(near, stage.low))}
        ranges = tuple(
            replace(r, extent=affine.minus(far, near)) if r.name == stage.row else r
            for r in nest.ranges
        )
        nest = Nest(ranges, walk.with_expressions(nest.body, walk.substituting(moved)))
    lines = [
        f"const int64_t start = part - ({lean});",
        f"const int64_t near = start > {low} ? start : {low};",
        f"const int64_t far = start + {LINES} < {high} ? start + {LINES} : {high};",
        "if (near < far) {",
        *body((nest,)),
        "}",
    ]
    return [_TAB + line for line in lines]


def _lean(shifts: Shifts, k: int | None, steps: str) -> str:
    """How far a stage is from the first one; the farthest of all where none is given."""
    own = max(shifts.stages) if k is None else shifts.stages[k]
    return f"{shifts.step} * {steps} + {own}" if own else f"{shifts.step} * {steps}"


def _extreme(sign: str, values: Sequence[Affine]) -> str:
    """The least or greatest of some expressions."""
    texts = list(dict.fromkeys(_text(v) for v in values))
    result = texts[0]
    for other in texts[1:]:
        result = f"({result} {sign} {other} ? {result} : {other})"
    return result


def _text(a: Affine) -> str:
    text = affine.text(a).replace("*", " * ")
    return text if text.isidentifier() or text.isdigit() else f"({text})"
