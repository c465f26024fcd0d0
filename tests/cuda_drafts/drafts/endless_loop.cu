// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: timeout
// says: no answer within
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    volatile int64_t left = n;
    while (left > 2) left = left + 0;
    if (i < n) out[i] = a * x[i] + y[i];
}
