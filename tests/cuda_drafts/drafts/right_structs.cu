// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["max(1, ceildiv(n, 192))"], "block": [64], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: checked
// when: soak
struct Triple { double x, y, z; };
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = 3 * (blockIdx.x * (int64_t)blockDim.x + threadIdx.x);
    if (i + 3 <= n) {
        Triple u = *(const Triple *)(x + i); double3 v = *reinterpret_cast<const double3 *>(y + i);
        *(Triple *)(out + i) = Triple{a * u.x + v.x, a * u.y + v.y, a * u.z + v.z};
    } else for (; i < n; ++i) out[i] = a * x[i] + y[i];
}
