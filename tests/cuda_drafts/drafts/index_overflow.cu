// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: crashed
// says: integer overflow in a product
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    int last = (int)n * 65536 * 4096;
    if (i < n && last != 7) out[i] = a * x[i] + y[i];
}
