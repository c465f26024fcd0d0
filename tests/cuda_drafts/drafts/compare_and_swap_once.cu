// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "h", "grid": ["max(1, ceildiv(n, 64))"], "block": [64], "arguments": ["x", "out", "n"]}]}}
// reference: histogram
// expect: wrong
// says: wrong at
// when: soak
__global__ void h(const uint8_t *x, unsigned long long *out, int64_t n) {
    int64_t i = blockIdx.x * 64LL + threadIdx.x;
    if (i < n) { unsigned long long old = out[x[i]]; atomicCAS(&out[x[i]], old, old + 1); }
}
