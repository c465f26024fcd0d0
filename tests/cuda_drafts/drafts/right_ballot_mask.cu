// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: positive
// expect: checked
// when: soak
__global__ void k(const double *x, uint8_t *out, int64_t n) {
    int64_t i = blockIdx.x * 256 + threadIdx.x;
    unsigned mask = __ballot_sync(0xffffffffu, i < n);
    if (i < n) {
        bool p = x[i] > 0;
        unsigned b = __ballot_sync(mask, p);
        out[i] = (b >> (threadIdx.x % 32)) & 1u;
    }
}
