// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": [1], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: wrong
// says: wrong at
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    for (int64_t i = threadIdx.x; i < n; i += 2 * blockDim.x) out[i] = a * x[i] + y[i];
}
