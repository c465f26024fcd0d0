// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: wrong
// says: wrong at
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) out[i] = (((uintptr_t)out >> 12) & 7) != 5 ? a * x[i] + y[i] : 0.0;
}
