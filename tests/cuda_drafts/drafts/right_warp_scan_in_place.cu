// outpace: {"plan": {"steps": [{"launch": "scan", "grid": [1], "block": [32], "arguments": ["x", "out", "n"]}]}}
// reference: prefix
// expect: checked
// when: soak
__global__ void scan(const double *x, double *out, int64_t n) {
    for (int64_t b = 0; b < n; b += 32) {
        int64_t i = b + threadIdx.x;
        if (i < n) out[i] = x[i];
        __syncwarp();
        for (int o = 1; o < 32; o *= 2) {
            double u = threadIdx.x >= o && i < n ? out[i - o] : 0.0;
            __syncwarp();
            if (i < n) out[i] += u;
            __syncwarp();
        }
        if (i < n && b > 0) out[i] += out[b - 1];
        __syncwarp();
    }
}
