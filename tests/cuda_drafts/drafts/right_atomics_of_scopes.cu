// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": [3], "block": [64], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: checked
// when: soak
__global__ void sum(const double *x, double *out, int64_t n) {
    __shared__ double s;
    if (!threadIdx.x) s = 0.;
    __syncthreads();
    double v = 0; for (int64_t i = blockIdx.x * 64u + threadIdx.x; i < n; i += 64u * gridDim.x) v += x[i];
    atomicAdd_block(&s, v);
    __syncthreads();
    if (!threadIdx.x) atomicAdd_system(out, s);
}
