// outpace: {"plan": {"steps": [{"launch": "sm", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"], "shared": "256 * 8 + 258 * 8 + 256 * 4"}]}}
// reference: smooth
// expect: checked
// when: soak
__global__ void sm(const double *x, double *out, int64_t n) {
    extern __shared__ __align__(16) unsigned char smem[];
    double *halo = reinterpret_cast<double *>(smem);
    double *sums = halo + blockDim.x + 2;
    int *edge = (int *)(sums + blockDim.x);
    int t = threadIdx.x;
    int64_t i = blockIdx.x * (int64_t)blockDim.x + t;
    halo[t + 1] = i < n ? x[i] : 0.0;
    if (t == 0) halo[0] = i > 0 ? x[i - 1] : 0.0;
    if (t == blockDim.x - 1) halo[t + 2] = i + 1 < n ? x[i + 1] : 0.0;
    edge[t] = i == 0 || i == n - 1;
    __syncthreads();
    sums[t] = edge[t] ? halo[t + 1] : (halo[t] + halo[t + 1] + halo[t + 2]) / 3.0;
    if (i < n) out[i] = sums[t];
}
