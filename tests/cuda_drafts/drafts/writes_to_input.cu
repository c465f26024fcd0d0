// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: crashed
// says: writes to the input `x
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) {
        const_cast<double *>(x)[i] *= a;
        out[i] = x[i] + y[i];
    }
}
