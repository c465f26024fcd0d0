// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy_of_many
// expect: crashed
// says: at line 9
// when: soak
__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    int i = blockIdx.x * 256 + threadIdx.x;
    int key = i * 70000;   // beyond 32 bits from 30678 on
    if (i < n) out[key / 70000] = a * x[i] + y[i];
}
