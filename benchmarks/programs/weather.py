"""Kernels of weather models beside those of the reference library."""

import numpy as np
from jaxtyping import Float64

import outpace
from outpace import Uniform


@outpace.optimize(
    workloads={"small": {"I": 24, "J": 24, "K": 20}, "large": {"I": 120, "J": 120, "K": 80}},
    inputs={
        "utens_stage": Uniform(-1, 1),
        "u_stage": Uniform(-1, 1),
        "wcon": Uniform(-0.2, 0.2),
        "u_pos": Uniform(-1, 1),
        "utens": Uniform(-1, 1),
        "dtr_stage": Uniform(2.5, 3.5),
    },
    mutates=("utens_stage",),
    where="K >= 3",
)
def vadv(
    utens_stage: Float64[np.ndarray, "I J K"],
    u_stage: Float64[np.ndarray, "I J K"],
    wcon: Float64[np.ndarray, "I+1 J K"],
    u_pos: Float64[np.ndarray, "I J K"],
    utens: Float64[np.ndarray, "I J K"],
    dtr_stage: float,
) -> None:
    """Vertical advection, implicit in time: one tridiagonal system per column."""
    I, J, K = utens_stage.shape[0], utens_stage.shape[1], utens_stage.shape[2]  # noqa: E741
    bet_m, bet_p = 0.5, 0.5
    ccol = np.ndarray((I, J, K), dtype=utens_stage.dtype)
    dcol = np.ndarray((I, J, K), dtype=utens_stage.dtype)
    data_col = np.ndarray((I, J), dtype=utens_stage.dtype)

    gcv = 0.25 * (wcon[1:, :, 1] + wcon[:-1, :, 1])
    cs = gcv * bet_m
    ccol[:, :, 0] = gcv * bet_p
    bcol = dtr_stage - ccol[:, :, 0]
    correction = -cs * (u_stage[:, :, 1] - u_stage[:, :, 0])
    dcol[:, :, 0] = dtr_stage * u_pos[:, :, 0] + utens[:, :, 0] + utens_stage[:, :, 0] + correction
    divided = 1.0 / bcol
    ccol[:, :, 0] = ccol[:, :, 0] * divided
    dcol[:, :, 0] = dcol[:, :, 0] * divided

    for k in range(1, K - 1):
        gav = -0.25 * (wcon[1:, :, k] + wcon[:-1, :, k])
        gcv[:] = 0.25 * (wcon[1:, :, k + 1] + wcon[:-1, :, k + 1])
        as_ = gav * bet_m
        cs[:] = gcv * bet_m
        acol = gav * bet_p
        ccol[:, :, k] = gcv * bet_p
        bcol[:] = dtr_stage - acol - ccol[:, :, k]
        correction[:] = -as_ * (u_stage[:, :, k - 1] - u_stage[:, :, k]) - cs * (
            u_stage[:, :, k + 1] - u_stage[:, :, k]
        )
        dcol[:, :, k] = (
            dtr_stage * u_pos[:, :, k] + utens[:, :, k] + utens_stage[:, :, k] + correction
        )
        divided[:] = 1.0 / (bcol - ccol[:, :, k - 1] * acol)
        ccol[:, :, k] = ccol[:, :, k] * divided
        dcol[:, :, k] = (dcol[:, :, k] - dcol[:, :, k - 1] * acol) * divided

    gav = -0.25 * (wcon[1:, :, K - 1] + wcon[:-1, :, K - 1])
    as_ = gav * bet_m
    acol = gav * bet_p
    bcol[:] = dtr_stage - acol
    correction[:] = -as_ * (u_stage[:, :, K - 2] - u_stage[:, :, K - 1])
    dcol[:, :, K - 1] = (
        dtr_stage * u_pos[:, :, K - 1] + utens[:, :, K - 1] + utens_stage[:, :, K - 1] + correction
    )
    divided[:] = 1.0 / (bcol - ccol[:, :, K - 2] * acol)
    dcol[:, :, K - 1] = (dcol[:, :, K - 1] - dcol[:, :, K - 2] * acol) * divided

    data_col[:] = dcol[:, :, K - 1]
    utens_stage[:, :, K - 1] = dtr_stage * (data_col - u_pos[:, :, K - 1])
    for k in range(K - 2, -1, -1):
        datacol = dcol[:, :, k] - ccol[:, :, k] * data_col
        data_col[:] = datacol
        utens_stage[:, :, k] = dtr_stage * (datacol - u_pos[:, :, k])
