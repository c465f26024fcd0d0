// outpace: {"plan": {"steps": [{"launch": "mx", "grid": [1], "block": [64], "arguments": ["x", "out", "n"]}]}}
// reference: largest
// expect: wrong
// says: a race on `changed`
// when: soak
__global__ void mx(const double *x, double *out, int64_t n) {
    __shared__ double best; __shared__ int changed;
    double v = -1e300; for (int64_t i = threadIdx.x; i < n; i += 64) v = fmax(v, x[i]);
    if (threadIdx.x == 0) best = v;
    __syncthreads();
    do {
        if (threadIdx.x == 0) changed = 0;
        __syncthreads();
        bool better = v > best;
        __syncthreads();
        if (better) { atomicExch(&changed, 1); atomicExch((unsigned long long *)&best, (unsigned long long)__double_as_longlong(v)); }
        __syncthreads();
    } while (changed);
    if (threadIdx.x == 0) out[0] = n ? best : 0.0;
}
