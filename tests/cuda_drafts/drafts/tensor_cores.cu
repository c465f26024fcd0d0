// outpace: {"plan": {"steps": [{"launch": "multiply", "grid": [1], "block": [32], "arguments": ["a", "b", "out", "n"]}]}}
// reference: product
// expect: inconclusive
// says: unsupported in simulation: wmma
#include <mma.h>
__global__ void multiply(const double *a, const double *b, double *out, int64_t n) {
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 8, 8, 4, double, nvcuda::wmma::row_major> x;
}
