// outpace: {"plan": {"steps": [{"fill": "done", "value": 0}, {"launch": "sum", "grid": [5], "block": [1], "arguments": ["x", "parts", "done", "out", "n"]}], "buffers": [{"name": "parts", "dtype": "float64", "shape": [5]}, {"name": "done", "dtype": "uint32", "shape": [1]}]}}
// reference: total
// expect: wrong
// says: a race on `parts[
// when: soak
__global__ void sum(const double *x, double *parts, unsigned *done, double *out, int64_t n) {
    double v = 0;
    for (int64_t i = blockIdx.x; i < n; i += gridDim.x) v += x[i];
    __threadfence();
    parts[blockIdx.x] = v;
    if (atomicInc(done, gridDim.x - 1) == gridDim.x - 1) {
        double s = 0;
        for (int k = 0; k < gridDim.x; ++k) s += parts[k];
        out[0] = s;
    }
}
