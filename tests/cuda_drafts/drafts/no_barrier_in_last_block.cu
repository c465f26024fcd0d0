// outpace: {"plan": {"steps": [{"launch": "sm", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: smooth
// expect: wrong
// says: a race on `s`
// when: soak
__global__ void sm(const double *x, double *out, int64_t n) {
    __shared__ double s[256];
    int t = threadIdx.x; int64_t i = blockIdx.x * 256LL + t;
    if (i < n) s[t] = x[i];
    if ((blockIdx.x + 1) * 256LL <= n) __syncthreads();
    if (i >= n) return;
    if (i == 0 || i == n - 1) { out[i] = x[i]; return; }
    double l = t > 0 ? s[t - 1] : x[i - 1], r = t < 255 ? s[t + 1] : x[i + 1];
    out[i] = (l + s[t] + r) / 3.0;
}
