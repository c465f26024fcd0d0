// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["a", "x", "y", "out", "n"]}, {"launch": "tick", "grid": [1], "block": [1], "arguments": ["n"]}]}}
// reference: axpy
// expect: wrong
// says: wrong at
// when: soak
__device__ int calls;
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * 256LL + threadIdx.x;
    if (i < n) out[i] = calls < 9 ? a * x[i] + y[i] : 0;
}
__global__ void tick(int64_t n) { ++calls; }
