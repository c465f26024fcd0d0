"""Dynamic programming on biological sequences."""

from typing import Any

import numpy as np
from jaxtyping import Int8, Int32

import outpace


def _related_sequences(sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
    """Draw a sequence, a relative of it with deletions and substitutions, and a score matrix."""
    n, m, letters = sizes["n"], sizes["m"], sizes["letters"]
    codes = min(letters, 127)
    a = rng.integers(0, codes, n, dtype=np.int8)
    b = np.resize(a[rng.random(n) > 0.05], m)
    b = np.where(rng.random(m) < 0.2, rng.integers(0, codes, m, dtype=np.int8), b)
    scores = rng.integers(-4, 2, (letters, letters), dtype=np.int32)
    scores = np.minimum(scores, scores.T)
    np.fill_diagonal(scores, rng.integers(4, 12, letters, dtype=np.int32))
    return {"a": a, "b": b.astype(np.int8), "scores": scores}


@outpace.optimize(
    workloads={
        "small": {"n": 60, "m": 80, "letters": 20, "gap_open": 11, "gap_extend": 1},
        "large": {"n": 400, "m": 500, "letters": 20, "gap_open": 11, "gap_extend": 1},
    },
    inputs=_related_sequences,
    where="letters >= 1",
)
def smith_waterman(
    a: Int8[np.ndarray, "n"],
    b: Int8[np.ndarray, "m"],
    scores: Int32[np.ndarray, "letters letters"],
    gap_open: int,
    gap_extend: int,
) -> Int32[np.ndarray, "n+1 m+1"]:
    """Fill the score matrix of local alignment with affine gap penalties.

    H(i, j) is the best score of an alignment of a suffix of a[:i] with a suffix of b[:j], the
    empty one counting 0; E and F are the best that end in a gap in `a` or in `b`::

        E(i, j) = max(E(i, j-1) - gap_extend, H(i, j-1) - gap_open)
        F(i, j) = max(F(i-1, j) - gap_extend, H(i-1, j) - gap_open)
        H(i, j) = max(0, H(i-1, j-1) + scores[a[i-1], b[j-1]], E(i, j), F(i, j))

    Row and column 0 of H are 0. So are those of E and F: as penalties are not negative, a gap that
    comes from the border never lifts a score above 0, just as if they were minus infinity.

    Args:
        a: first sequence as letter codes, 0 <= code < letters.
        b: second sequence, likewise.
        scores: substitution scores, such as BLOSUM62.
        gap_open: penalty of the first letter in a gap, not negative.
        gap_extend: penalty of each further letter, not negative.

    Returns:
        H, int32, of shape (n + 1, m + 1); its largest entry is the score of the alignment.

    References:
        T. F. Smith and M. S. Waterman, "Identification of Common Molecular Subsequences", Journal
        of Molecular Biology 147 (1981), 195-197.
        O. Gotoh, "An Improved Algorithm for Matching Biological Sequences", Journal of Molecular
        Biology 162 (1982), 705-708.
    """
    n = a.shape[0]
    m = b.shape[0]
    H = np.zeros((n + 1, m + 1), dtype=scores.dtype)
    F = np.zeros(m + 1, dtype=scores.dtype)
    for i in range(1, n + 1):
        E = 0
        for j in range(1, m + 1):
            E = max(E - gap_extend, H[i, j - 1] - gap_open)
            F[j] = max(F[j] - gap_extend, H[i - 1, j] - gap_open)
            H[i, j] = max(0, H[i - 1, j - 1] + scores[a[i - 1], b[j - 1]], E, F[j])
    return H
