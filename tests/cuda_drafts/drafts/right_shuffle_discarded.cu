// outpace: {"plan": {"steps": [{"launch": "sum", "grid": [1], "block": [24], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: checked
__global__ void sum(const double *x, double *out, int64_t n) {
    double v = 0; int lane = threadIdx.x;
    for (int64_t i = lane; i < n; i += 24) v += x[i];
    for (int o = 16; o; o >>= 1) { double u = __shfl_down_sync(0xffffffffu, v, o); if (lane + o < 24) v += u; }
    if (lane == 0) out[0] = v;
}
