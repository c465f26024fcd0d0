// outpace: {"plan": {"steps": [{"fill": "flag", "value": 0}, {"fill": "ticket", "value": 0}, {"launch": "scan", "grid": ["ceildiv(n, 64)"], "block": [64], "arguments": ["x", "out", "sums", "flag", "ticket", "n"]}], "buffers": [{"name": "sums", "dtype": "float64", "shape": ["max(ceildiv(n, 64), 1)"]}, {"name": "flag", "dtype": "int32", "shape": ["max(ceildiv(n, 64), 1)"]}, {"name": "ticket", "dtype": "int32", "shape": [1]}]}}
// reference: prefix
// expect: checked
__global__ void scan(const double *x, double *out, volatile double *sums, volatile int *flag, int *ticket, int64_t n) {
    __shared__ int tile; __shared__ double s[64]; __shared__ double before;
    if (threadIdx.x == 0) tile = atomicAdd(ticket, 1);
    __syncthreads();
    int64_t i = tile * 64LL + threadIdx.x;
    s[threadIdx.x] = i < n ? x[i] : 0.0;
    __syncthreads();
    for (int o = 1; o < 64; o *= 2) {
        double v = threadIdx.x >= o ? s[threadIdx.x - o] : 0.0;
        __syncthreads();
        s[threadIdx.x] += v;
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        double p = 0;
        if (tile > 0) {
            while (flag[tile - 1] == 0) {}
            __threadfence();
            p = sums[tile - 1];
        }
        before = p;
        sums[tile] = p + s[63];
        __threadfence();
        flag[tile] = 1;
    }
    __syncthreads();
    if (i < n) out[i] = before + s[threadIdx.x];
}
