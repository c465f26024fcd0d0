// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: positive
// expect: checked
// when: soak
__global__ void k(const double *x, unsigned char *out, int64_t n) {
    __shared__ bool flags[256]; __shared__ char c[256]; __shared__ int64_t at[256];
    int64_t i = blockIdx.x * 256LL + threadIdx.x;
    flags[threadIdx.x] = i < n && x[i < n ? i : 0] > 0; c[threadIdx.x] = flags[threadIdx.x]; at[threadIdx.x] = i;
    __syncthreads();
    int r = 255 - threadIdx.x;
    if (at[r] < n) out[at[r]] = c[r] && flags[r];
}
