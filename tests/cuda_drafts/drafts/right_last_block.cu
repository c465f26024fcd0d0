// outpace: {"plan": {"let": {"blocks": "max(ceildiv(n, 32), 1)"}, "buffers": [{"name": "parts", "dtype": "float64", "shape": ["blocks"]}, {"name": "done", "dtype": "uint32", "shape": [1]}], "steps": [{"fill": "done", "value": 0}, {"launch": "sum", "grid": ["blocks"], "block": [32], "arguments": ["x", "parts", "done", "out", "n"]}]}}
// reference: total
// expect: checked
// The block that ends last sums what the others have left.
__device__ double warp_sum(double value) {
    for (int k = 16; k > 0; k /= 2) value += __shfl_down_sync(0xffffffffu, value, k);
    return value;
}

__global__ void sum(const double *x, double *parts, unsigned int *done, double *out, int64_t n) {
    __shared__ bool is_last;
    int64_t i = blockIdx.x * (int64_t)32 + threadIdx.x;
    double value = warp_sum(i < n ? x[i] : 0.0);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = value;
        __threadfence();
        is_last = atomicAdd(done, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!is_last) return;
    __threadfence();
    value = 0.0;
    for (int k = threadIdx.x; k < gridDim.x; k += 32) value += parts[k];
    value = warp_sum(value);
    if (threadIdx.x == 0) out[0] = value;
}
