// outpace: {"plan": {"let": {"blocks": "max(ceildiv(n, 64), 1)"}, "steps": [{"launch": "scan_blocks<64>", "grid": ["blocks"], "block": [64], "arguments": ["x", "out", "sums", "n"]}, {"launch": "scan_sums", "grid": [1], "block": [32], "arguments": ["sums", "blocks"]}, {"launch": "add_sums", "grid": ["blocks"], "block": [64], "arguments": ["out", "sums", "n"]}], "buffers": [{"name": "sums", "dtype": "float64", "shape": ["blocks"]}]}}
// reference: prefix
// expect: checked
// when: soak
template <int B> __global__ void scan_blocks(const double *x, double *out, double *sums, int64_t n) {
    __shared__ double t[2][B];
    int64_t i = blockIdx.x * (int64_t)B + threadIdx.x; int p = 0;
    t[0][threadIdx.x] = i < n ? x[i] : 0;
    __syncthreads();
    for (int o = 1; o < B; o <<= 1) {
        t[1 - p][threadIdx.x] = t[p][threadIdx.x] + (threadIdx.x >= o ? t[p][threadIdx.x - o] : 0.0);
        p = 1 - p;
        __syncthreads();
    }
    if (i < n) out[i] = t[p][threadIdx.x];
    if (threadIdx.x == B - 1) sums[blockIdx.x] = t[p][B - 1];
}
__global__ void scan_sums(double *sums, int64_t blocks) {
    double carry = 0;
    for (int64_t b = 0; b < blocks; b += 32) {
        double v = b + threadIdx.x < blocks ? sums[b + threadIdx.x] : 0;
        for (int o = 1; o < 32; o *= 2) { double u = __shfl_up_sync(0xffffffff, v, o); if (threadIdx.x >= o) v += u; }
        v += carry;
        if (b + threadIdx.x < blocks) sums[b + threadIdx.x] = v;
        carry = __shfl_sync(0xffffffff, v, 31);
    }
}
__global__ void add_sums(double *out, const double *sums, int64_t n) { int64_t i = blockIdx.x * 64LL + threadIdx.x; if (blockIdx.x > 0 && i < n) out[i] += sums[blockIdx.x - 1]; }
