// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: bits
// expect: checked
// when: soak
__device__ void count(const long long *v, long long *o) { unsigned long long u = (unsigned long long)*v; int c = 0; while (u) { u &= u - 1; ++c; } *o = c; }
__global__ void k(const int64_t *x, int64_t *out, int64_t n) {
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) count(x + i, out + i);
}
