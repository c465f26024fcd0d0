// outpace: {"plan": {"steps": [{"launch": "sm", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"], "shared": 4112}]}}
// reference: smooth
// expect: wrong
// says: a race on `dynamic shared memory`
// when: soak
__global__ void sm(const double *x, double *out, int64_t n) {
    extern __shared__ double s[];
    double *r = s + blockDim.x;   // should be + 2
    int t = threadIdx.x; int64_t i = blockIdx.x * 256LL + t;
    s[t + 1] = i < n ? x[i] : 0;
    if (t == 0) s[0] = i > 0 ? x[i - 1] : 0;
    if (t == 255) s[257] = i + 1 < n ? x[i + 1] : 0;
    __syncthreads();
    r[t] = (s[t] + s[t + 1] + s[t + 2]) / 3.0;
    if (i < n) out[i] = i == 0 || i == n - 1 ? x[i] : r[t];
}
