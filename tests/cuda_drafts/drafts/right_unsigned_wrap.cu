// outpace: {"plan": {"steps": [{"launch": "sm", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: smooth
// expect: checked
// when: soak
__global__ void sm(const double *x, double *out, unsigned n) {
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    if (i > n - 1) return;
    out[i] = i - 1 < n - 2 ? (x[i - 1] + x[i] + x[i + 1]) / 3.0 : x[i];
}
