// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": [1], "block": [32], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: crashed
// says: takes no part
// when: soak
__global__ void sum(const double *x, double *out, int64_t n) {
    double value = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += 32) value += x[i];
    if (threadIdx.x < 16) value += __shfl_down_sync(0xffffffffu, value, 16);
    __syncthreads();
    if (threadIdx.x == 0) out[0] = value;
}
