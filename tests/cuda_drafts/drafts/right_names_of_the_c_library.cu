// outpace: {"plan": {"steps": [{"launch": "index", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: checked
// when: soak
__device__ __forceinline__ double clamp(double v, double lo, double hi) { return min(max(v, lo), hi); }
__device__ int64_t div(int64_t a, int64_t b) { return a / b; }
extern "C" __global__ void index(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = div((blockIdx.x * 256LL + threadIdx.x) * 2, 2);
    if (i < n) out[i] = clamp(a * x[i] + y[i], -1e300, 1e300);
}
