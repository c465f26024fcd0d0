// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: positive
// expect: wrong
// says: wrong at
// when: soak
__global__ void k(const double *x, bool *out, int64_t n) {
    int64_t i = blockIdx.x * 256LL + threadIdx.x;
    bool p;
    if (i < n) { if (x[i] > 0) p = true; out[i] = p; }
}
