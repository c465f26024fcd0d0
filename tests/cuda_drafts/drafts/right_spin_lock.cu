// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"fill": "lock", "value": 0}, {"launch": "sum", "grid": [4], "block": [64], "arguments": ["x", "out", "lock", "n"]}], "buffers": [{"name": "lock", "dtype": "int32", "shape": [1]}]}}
// reference: total
// expect: checked
// when: soak
__global__ void sum(const double *x, double *out, int *lock, int64_t n) {
    __shared__ double s[64];
    double v = 0;
    for (int64_t i = blockIdx.x * 64 + threadIdx.x; i < n; i += 256) v += x[i];
    s[threadIdx.x] = v;
    __syncthreads();
    if (threadIdx.x == 0) {
        double t = 0; for (int k = 0; k < 64; ++k) t += s[k];
        while (atomicCAS(lock, 0, 1) != 0) {}
        __threadfence();
        *(volatile double *)out += t;
        __threadfence();
        atomicExch(lock, 0);
    }
}
