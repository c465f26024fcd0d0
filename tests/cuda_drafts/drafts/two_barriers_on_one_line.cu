// outpace: {"plan": {"steps": [{"launch": "sm", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: smooth
// expect: crashed
// says: barrier divergence
#define SYNC(c) if (c) { __syncthreads(); } else { __syncthreads(); }
__global__ void sm(const double *x, double *out, int64_t n) {
    __shared__ double s[256];
    int t = threadIdx.x; int64_t i = blockIdx.x * 256LL + t;
    if (i < n) s[t] = x[i];
    SYNC(i < n)
    if (i >= n) return;
    double l = t > 0 ? s[t - 1] : (i > 0 ? x[i - 1] : 0), r = t < 255 && i + 1 < n ? s[t + 1] : (i + 1 < n ? x[i + 1] : 0);
    out[i] = i == 0 || i == n - 1 ? x[i] : (l + s[t] + r) / 3.0;
}
