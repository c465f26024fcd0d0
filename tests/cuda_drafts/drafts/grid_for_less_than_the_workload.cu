// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": [2048], "block": [256], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy_of_many
// expect: wrong
// says: n=1048576
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) out[i] = a * x[i] + y[i];
}
