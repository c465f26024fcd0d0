// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": [3], "block": [32], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: checked
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * blockDim.x)
        out[i] = a * __ldg(x + i) + y[i];
}
