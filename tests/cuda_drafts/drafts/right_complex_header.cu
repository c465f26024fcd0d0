// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["z", "c", "out", "n"]}]}}
// reference: rotated
// expect: checked
// when: soak
#include <cuComplex.h>
__global__ void k(const cuDoubleComplex *z, const cuDoubleComplex *c, cuDoubleComplex *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) out[i] = cuCmul(z[i], c[i]);
}
