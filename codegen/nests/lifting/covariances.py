"""Covariances and correlations of the rows or columns of a matrix."""

from __future__ import annotations

import numpy as np

from outpace.codegen.nests.ir import Op, Reduction
from outpace.codegen.nests.lifting.calls import Call, Handler, flag_of, literal_of, value_of
from outpace.codegen.nests.lifting.elementwise import converted, elementwise
from outpace.codegen.nests.lifting.indexing import Cut, subscript
from outpace.codegen.nests.lifting.products import product
from outpace.codegen.nests.lifting.shaping import diagonal, exchanged
from outpace.codegen.nests.lifting.values import Lifted, literal, position
from outpace.errors import NotLifted


def _covariance(call: Call) -> Lifted:
    """`np.cov`: products of deviations from the means, over one less than the observations."""
    given = call.bound("m", "y", "rowvar", "bias", "ddof")
    value = value_of(given["m"], call.name)
    if given.get("y") is not None or len(value.shape) != 2 or value.dtype[0] == "c":
        raise NotLifted(f"np.{call.name} of anything but one real matrix")
    builder = call.builder
    rows = value if flag_of(given.get("rowvar", True)) else exchanged(value, (1, 0))
    rows = converted(rows, "float64", weak=False)
    observations = position(builder.extent(rows.shape[1]))
    total = builder.reduced(Reduction.SUM, rows, (1,), "float64", keepdims=True)
    means = elementwise(Op.DIVIDE, np.divide, total, observations)
    centred = builder.materialised(elementwise(Op.SUBTRACT, np.subtract, rows, means), "centred")
    freedom = 1 - flag_of(given.get("bias", False))
    if given.get("ddof") is not None:
        freedom = literal_of(given["ddof"], "degrees of freedom")
    left = elementwise(Op.SUBTRACT, np.subtract, observations, literal(freedom))
    divisor = elementwise(Op.MAXIMUM, np.maximum, left, literal(0))
    products = product(builder, centred, exchanged(centred, (1, 0)))
    scale = elementwise(Op.DIVIDE, np.divide, literal(1), divisor)
    return elementwise(Op.MULTIPLY, np.multiply, products, scale)


def _correlation(call: Call) -> Lifted:
    """`np.corrcoef`: covariances over the standard deviations of both, clipped to [-1, 1]."""
    given = call.bound("x", "y", "rowvar")
    keywords = {k: v for k, v in given.items() if k != "x"}
    found = _covariance(Call(call.builder, call.name, (given["x"],), keywords))
    covariance = call.builder.materialised(value_of(found, call.name), "covariance")
    spread = elementwise(Op.SQRT, np.sqrt, diagonal(call.builder, covariance))
    spread = call.builder.materialised(spread, "spread")
    by_row = subscript(call.builder, spread, [Cut(None, None, None), None])
    scaled = elementwise(Op.DIVIDE, np.divide, covariance, by_row)
    scaled = elementwise(Op.DIVIDE, np.divide, scaled, spread)
    high = elementwise(Op.MINIMUM, np.minimum, scaled, literal(1))
    return elementwise(Op.MAXIMUM, np.maximum, high, literal(-1))


HANDLERS: dict[str, Handler] = {
    "cov": _covariance,
    "corrcoef": _correlation,
}
