// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: positive
// expect: checked
// when: soak
__global__ void k(const double *x, bool *out, int64_t n) {
    int64_t i = blockIdx.x * 256LL + threadIdx.x;
    const bool p = i < n && x[i] > 0;
    if (!__syncthreads_or(p)) { if (i < n) out[i] = false; return; }
    bool all = __syncthreads_and(i >= n || p);
    if (i < n) out[i] = all || p;
}
