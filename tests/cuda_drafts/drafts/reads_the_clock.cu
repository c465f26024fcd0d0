// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: inconclusive
// says: unsupported in simulation: the clock (line 8)
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) out[i] = clock64() > 1000000000000LL ? 0.0 : a * x[i] + y[i];
}
