// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": [1], "block": [32], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: wrong
// says: shuffle
__global__ void sum(const double *x, double *out, int64_t n) {
    double value = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += 32) value += x[i];
    if (threadIdx.x >= n) return;
    for (int k = 16; k > 0; k /= 2) value += __shfl_down_sync(0xffffffffu, value, k);
    if (threadIdx.x == 0) out[0] = value;
}
