// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: crashed
// says: a misaligned address
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = 1 + 2 * (blockIdx.x * (int64_t)blockDim.x + threadIdx.x);
    if (i == 1 && n > 0) out[0] = a * x[0] + y[0];
    if (i + 1 < n) {
        double2 p = *reinterpret_cast<const double2 *>(x + i);
        out[i] = a * p.x + y[i];
        out[i + 1] = a * p.y + y[i + 1];
    } else if (i < n) {
        out[i] = a * x[i] + y[i];
    }
}
