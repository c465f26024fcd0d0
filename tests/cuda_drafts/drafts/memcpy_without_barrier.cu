// outpace: {"plan": {"steps": [{"launch": "sm", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: smooth
// expect: wrong
// says: a race on `s`
__global__ void sm(const double *x, double *out, int64_t n) {
    __shared__ double s[258];
    int64_t base = blockIdx.x * 256LL; int t = threadIdx.x;
    if (t == 0) {
        int64_t first = base > 0 ? base - 1 : 0, last = min(base + 257, n);
        memcpy(s + (base > 0 ? 0 : 1), x + first, (last - first) * sizeof(double));
    }
    int64_t i = base + t;
    if (i < n) out[i] = i == 0 || i == n - 1 ? x[i] : (s[t] + s[t + 1] + s[t + 2]) / 3.0;
}
