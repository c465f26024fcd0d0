// outpace: {"plan": {"steps": [{"launch": "sum", "grid": [1], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: checked
__global__ void sum(const double *x, double *out, int64_t n) {
    __shared__ double warps[32];
    double value = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) value += x[i];
    for (int k = 16; k > 0; k /= 2) value += __shfl_down_sync(0xffffffffu, value, k);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x < 32) {
        value = threadIdx.x < blockDim.x / 32 ? warps[threadIdx.x] : 0.0;
        for (int k = 16; k > 0; k /= 2) value += __shfl_xor_sync(0xffffffffu, value, k);
        if (threadIdx.x == 0) out[0] = value;
    }
}
