// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["z", "c", "out", "n"]}]}}
// reference: rotated
// expect: checked
// when: soak
#include <cuda/std/complex>
#include <cuda/std/limits>
#include <cuda/std/cstdint>
using cplx = cuda::std::complex<double>;
__global__ void k(const cplx *z, const cplx *c, cplx *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) out[i] = cplx(z[i].real() * c[i].real() - z[i].imag() * c[i].imag(), z[i].real() * c[i].imag() + z[i].imag() * c[i].real());
}
