// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: crashed
// says: out of bounds
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    double next = x[i + 1];
    if (i < n) out[i] = next > 2.0 ? next : a * x[i] + y[i];
}
