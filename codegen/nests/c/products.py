"""Products of large matrices in C, by the BLAS that NumPy has brought into the process.

It is looked for among the libraries that are loaded, under the names that NumPy's wheels give it,
with sizes of 64 bits; where there is none, loops take its place. A product is never inside of a
parallel region, so that the threads of BLAS and those of OpenMP do not run at the same time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.expressions import Functions
from outpace.codegen.nests.ir import Array, Library, Operand, Statement
from outpace.errors import NotLifted

_LETTERS = {"float32": "s", "float64": "d"}
_SEARCH = """\
#include <dlfcn.h>
#include <link.h>
#include <string.h>

struct search {
    int skipped;
    char path[4096];
};

static int is_blas(struct dl_phdr_info *library, size_t size, void *data)
{
    struct search *search = data;
    const char *name = strrchr(library->dlpi_name, '/');
    (void)size;
    if (name == NULL || strstr(name, "blas") == NULL || search->skipped-- > 0)
        return 0;
    strncpy(search->path, library->dlpi_name, sizeof search->path - 1);
    return 1;
}

/* A function of a BLAS that is loaded, or NULL. */
static void *blas_function(const char *name)
{
    for (int k = 0;; k++) {
        struct search search = {.skipped = k};
        if (dl_iterate_phdr(is_blas, &search) == 0)
            return NULL;
        void *library = dlopen(search.path, RTLD_NOW | RTLD_NOLOAD);
        void *found = library == NULL ? NULL : dlsym(library, name);
        if (found != NULL)
            return found;
    }
}"""
_PRODUCT = """\
typedef void gemm_D(int, int, int, int64_t, int64_t, int64_t, T, const T *, int64_t, const T *,
                    int64_t, T, T *, int64_t);

/* c = a b of m by k and k by n elements in rows; a turned factor is stored as its transpose. */
static void product_D(int64_t m, int64_t n, int64_t k, const T *a, bool turned_a, const T *b,
                      bool turned_b, T *c)
{
    static gemm_D *gemm;
    static bool sought;
    if (!sought) {
        gemm = (gemm_D *)blas_function("scipy_cblas_Lgemm64_");
        if (gemm == NULL)
            gemm = (gemm_D *)blas_function("cblas_Lgemm64_");
        sought = true;
    }
    const int as_it_is = 111, turned = 112, by_rows = 101; /* of enum CBLAS_ORDER and its like */
    if (gemm != NULL && m > 0 && n > 0 && k > 0) {
        gemm(by_rows, turned_a ? turned : as_it_is, turned_b ? turned : as_it_is, m, n, k, 1, a,
             turned_a ? m : k, b, turned_b ? k : n, 0, c, n);
        return;
    }
    #pragma omp parallel for
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++)
            c[i * n + j] = 0;
        for (int64_t p = 0; p < k; p++) {
            const T x = turned_a ? a[p * m + i] : a[i * k + p];
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] += x * (turned_b ? b[j * k + p] : b[p * n + j]);
        }
    }
}"""


def product_lines(s: Statement, arrays: Mapping[str, Array], functions: Functions) -> list[str]:
    """The call that computes a product of two matrices.

    Args:
        s: The statement.
        arrays: All arrays by name.
        functions: Collects the functions that are used.

    Raises:
        NotLifted: It is something else, or a product of other than real floats.
    """
    if not isinstance(s, Library) or s.function != "matmul":
        raise NotLifted(f"{s.function if isinstance(s, Library) else type(s).__name__} in C")
    dtype = arrays[s.target].dtype
    if dtype not in _LETTERS:
        raise NotLifted(f"a library's product of {dtype} in C")
    functions.defined("blas_function", _SEARCH)
    text = _PRODUCT.replace("_D", f"_{dtype}").replace("Lgemm", f"{_LETTERS[dtype]}gemm")
    function = functions.defined(f"product_{dtype}", re.sub(r"\bT\b", C_TYPES[dtype], text))
    left, right = s.operands
    rows, columns = arrays[s.target].shape
    inner = arrays[left.array].shape[0 if left.transposed else 1]
    sizes = ", ".join(affine.text(n).replace("*", " * ") for n in (rows, columns, inner))
    return [f"{function}({sizes}, {_factor(left)}, {_factor(right)}, {s.target});"]


def written(body: Iterable[Statement]) -> set[str]:
    """Arrays that are written, products among them."""
    body = tuple(body)
    products = {s.target for s in walk.statements(body) if isinstance(s, Library)}
    return products | {store.array for store in walk.stores(body)}


def _factor(operand: Operand) -> str:
    return f"{operand.array}, {'true' if operand.transposed else 'false'}"
