// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: crashed
// says: an index outside of its array
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    double room[4] = {0.0, 1.0, 2.0, 3.0};
    if (i < n) out[i] = a * x[i] + y[i] * (room[n % 9] < 5.0);
}
