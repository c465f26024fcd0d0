// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: bits
// expect: checked
// when: soak
__global__ void k(const int64_t *x, int64_t *out, int64_t n) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    uint64_t v = static_cast<uint64_t>(x[i]);
    v = v - ((v >> 1) & 0x5555555555555555ull);
    v = (v & 0x3333333333333333ull) + ((v >> 2) & 0x3333333333333333ull);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
    out[i] = (v * 0x0101010101010101ull) >> 56;
}
