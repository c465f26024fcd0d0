// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": ["max(ceildiv(n, 64), 1)"], "block": [64], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: wrong
// says: in a shuffle at line 10
// when: soak
__global__ void sum(const double *x, double *out, int64_t n) {
    int64_t i = blockIdx.x * 64LL + threadIdx.x;
    if (i >= n) return;
    double v = x[i];
    for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
    if (threadIdx.x % 32 == 0) atomicAdd(out, v);
}
