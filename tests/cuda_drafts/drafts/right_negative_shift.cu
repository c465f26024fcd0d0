// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: bits
// expect: checked
// when: soak
__global__ void k(const int64_t *x, int64_t *out, int64_t n) {
    int lane = threadIdx.x & 31;
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    int below = ~(-1 << lane);
    if (i < n) out[i] = __popcll(x[i]) + 0 * __popc(below);
}
