// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "count", "grid": ["ceildiv(n, 512)"], "block": [128], "arguments": ["x", "out", "n"]}]}}
// reference: histogram
// expect: wrong
// says: wrong at
// when: soak
__global__ void count(const uint8_t *x, unsigned long long *out, int64_t n) {
    __shared__ unsigned int bins[256];
    __syncthreads();
    for (int64_t i = blockIdx.x * (int64_t)512 + threadIdx.x; i < n && i < (blockIdx.x + 1) * (int64_t)512; i += 128)
        atomicAdd(&bins[x[i]], 1u);
    __syncthreads();
    for (int b = threadIdx.x; b < 256; b += 128)
        if (bins[b]) atomicAdd(&out[b], (unsigned long long)bins[b]);
}
