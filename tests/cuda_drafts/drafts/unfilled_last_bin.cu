// outpace: {"plan": {"steps": [{"launch": "h", "grid": ["max(ceildiv(n, 256), 1)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: histogram
// expect: wrong
// says: wrong at
// when: soak
__global__ void h(const uint8_t *x, unsigned long long *out, int64_t n) {
    __shared__ unsigned bins[256];
    for (int k = threadIdx.x; k < 255; k += 256) bins[k] = 0;
    __syncthreads();
    int64_t i = blockIdx.x * 256 + threadIdx.x;
    if (i < n) atomicAdd(&bins[x[i]], 1u);
    __syncthreads();
    atomicAdd(&out[threadIdx.x], (unsigned long long)bins[threadIdx.x]);
}
