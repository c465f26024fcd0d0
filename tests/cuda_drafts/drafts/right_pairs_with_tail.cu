// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": [5], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: checked
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t pairs = n / 2;
    const double2 *x2 = reinterpret_cast<const double2 *>(x), *y2 = reinterpret_cast<const double2 *>(y);
    double2 *o2 = reinterpret_cast<double2 *>(out);
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < pairs; i += (int64_t)blockDim.x * gridDim.x) {
        double2 u = __ldg(&x2[i]), v = y2[i];
        o2[i] = make_double2(a * u.x + v.x, a * u.y + v.y);
    }
    if (blockIdx.x == 0 && threadIdx.x == 0 && (n & 1)) out[n - 1] = a * x[n - 1] + y[n - 1];
}
