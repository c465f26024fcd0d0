// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: checked
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = 2 * (blockIdx.x * (int64_t)blockDim.x + threadIdx.x);
    double u[2] = {}, v[2] = {};
    if (i >= n) return;
    size_t k = i + 1 < n ? 16 : 8;
    memcpy(u, x + i, k); memcpy(v, y + i, k);
    for (int q = 0; q < 2; ++q) u[q] = a * u[q] + v[q];
    memcpy(out + i, u, k);
}
