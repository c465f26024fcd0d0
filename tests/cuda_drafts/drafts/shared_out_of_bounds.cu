// outpace: {"plan": {"buffers": [{"name": "parts", "dtype": "float64", "shape": ["max(ceildiv(n, 128), 1)"]}], "steps": [{"fill": "parts", "value": 0}, {"launch": "partial", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["x", "parts", "n"]}, {"launch": "partial_rest", "grid": [1], "block": [128], "arguments": ["parts", "out", "max(ceildiv(n, 128), 1)"]}]}}
// reference: total
// expect: crashed
// says: an index outside of its array
__device__ double block_sum(double value) {
    __shared__ double room[128];
    int t = threadIdx.x;
    room[t] = value;
    if (t == 127) room[t + 1] = 0.0;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (t < half) room[t] += room[t + half];
        __syncthreads();
    }
    return room[0];
}

__global__ void partial(const double *x, double *parts, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)128 + threadIdx.x;
    double sum = block_sum(i < n ? x[i] : 0.0);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void partial_rest(const double *parts, double *out, int64_t count) {
    double sum = 0.0;
    for (int64_t i = threadIdx.x; i < count; i += 128) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] = sum;
}
