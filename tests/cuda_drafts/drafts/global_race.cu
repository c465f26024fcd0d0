// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": ["ceildiv(n, 64)"], "block": [64], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: wrong
// says: a race on `out[0]`
__global__ void sum(const double *x, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) out[0] += x[i];
}
