// outpace: {"plan": {"steps": [{"launch": "transpose", "grid": ["ceildiv(m, 16)", "ceildiv(n, 16)"], "block": [16, 16], "arguments": ["a", "out", "n", "m"]}]}}
// reference: transposed
// expect: wrong
// when: soak
__global__ void transpose(const float *a, float *out, int64_t n, int64_t m) {
    __shared__ float tile[16][17];
    int64_t x = blockIdx.x * 16 + threadIdx.x, y = blockIdx.y * 16 + threadIdx.y;
    if (x < m && y < n) tile[threadIdx.y][threadIdx.x] = a[y * m + x];
    __syncthreads();
    x = blockIdx.y * 16 + threadIdx.x, y = blockIdx.x * 16 + threadIdx.y;
    if (x < n && y < m && y * m + x < n * m) out[y * m + x] = tile[threadIdx.x][threadIdx.y];
}
