// outpace: {"plan": {"steps": [{"launch": "mx", "grid": [1], "block": [64], "arguments": ["x", "out", "n"]}]}}
// reference: largest
// expect: checked
// when: soak
__global__ void mx(const double *x, double *out, int64_t n) {
    __shared__ double best;
    double v = -1e300; for (int64_t i = threadIdx.x; i < n; i += 64) v = fmax(v, x[i]);
    if (threadIdx.x == 0) best = v;
    __syncthreads();
    bool better = v > best;
    while (__syncthreads_or(better)) {
        if (better) atomicExch((unsigned long long *)&best, (unsigned long long)__double_as_longlong(v));
        __syncthreads();
        better = v > best;
    }
    if (threadIdx.x == 0) out[0] = n ? best : 0.0;
}
