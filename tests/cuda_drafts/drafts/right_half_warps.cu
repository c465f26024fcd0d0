// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: positive
// expect: checked
// when: soak
__global__ void k(const double *x, bool *out, int64_t n) {
    int64_t i = blockIdx.x * 256LL + threadIdx.x; int lane = threadIdx.x & 31;
    int p = i < n ? x[i] > 0 : 0;
    if (lane < 16) { p = __shfl_xor_sync(0x0000ffffu, p, 1); p = __shfl_xor_sync(0x0000ffffu, p, 1); }
    else { p = __shfl_xor_sync(0xffff0000u, p, 2); p = __shfl_xor_sync(0xffff0000u, p, 2); }
    __syncwarp();
    if (i < n) out[i] = p;
}
