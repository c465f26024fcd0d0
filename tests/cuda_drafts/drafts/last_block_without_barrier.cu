// outpace: {"plan": {"steps": [{"fill": "done", "value": 0}, {"launch": "sum", "grid": [5], "block": [64], "arguments": ["x", "parts", "done", "out", "n"]}], "buffers": [{"name": "parts", "dtype": "float64", "shape": [320]}, {"name": "done", "dtype": "uint32", "shape": [1]}]}}
// reference: total
// expect: wrong
// says: a race on `parts[
__global__ void sum(const double *x, double *parts, unsigned *done, double *out, int64_t n) {
    __shared__ bool last;
    double v = 0;
    for (int64_t i = blockIdx.x * 64 + threadIdx.x; i < n; i += 64 * gridDim.x) v += x[i];
    parts[blockIdx.x * 64 + threadIdx.x] = v;
    __threadfence();
    if (threadIdx.x == 0) last = atomicInc(done, gridDim.x - 1) == gridDim.x - 1;
    __syncthreads();
    if (last && threadIdx.x == 0) {
        double s = 0;
        for (int k = 0; k < 64 * gridDim.x; ++k) s += parts[k];
        out[0] = s;
    }
}
