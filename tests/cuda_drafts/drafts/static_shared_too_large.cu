// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: over-limit
// says: 65536 bytes of static
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    __shared__ double room[8192];
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) {
        room[threadIdx.x] = x[i];
        out[i] = a * room[threadIdx.x] + y[i];
    }
    __syncthreads();
    if (i < n) out[i] = a * room[threadIdx.x] + y[i];
}
