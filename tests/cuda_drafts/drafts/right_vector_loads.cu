// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 256)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: checked
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = 2 * (blockIdx.x * (int64_t)blockDim.x + threadIdx.x);
    if (i + 1 < n) {
        double2 p = *reinterpret_cast<const double2 *>(x + i);
        double2 q = *reinterpret_cast<const double2 *>(y + i);
        *reinterpret_cast<double2 *>(out + i) = make_double2(a * p.x + q.x, a * p.y + q.y);
    } else if (i < n) {
        out[i] = fma(a, x[i], y[i]);
    }
}
