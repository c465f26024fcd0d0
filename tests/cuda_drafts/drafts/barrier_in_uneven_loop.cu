// outpace: {"plan": {"steps": [{"launch": "rows", "grid": ["n"], "block": [32], "arguments": ["a", "out", "m"]}]}}
// reference: row_sums
// expect: crashed
// says: barrier divergence
// when: soak
__global__ void rows(const float *a, float *out, int64_t m) {
    __shared__ double s[32]; double v = 0;
    for (int64_t j = 0; ; j += 32) {
        if (j + threadIdx.x >= m) break;
        s[threadIdx.x] = a[blockIdx.x * m + j + threadIdx.x];
        __syncthreads();
        v += s[threadIdx.x];
        __syncthreads();
    }
    s[threadIdx.x] = v; __syncthreads();
    if (threadIdx.x == 0) { double q = 0; for (int k = 0; k < 32; ++k) q += s[k]; out[blockIdx.x] = q; }
}
