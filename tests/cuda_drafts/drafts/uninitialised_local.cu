// outpace: {"plan": {"steps": [{"launch": "rows", "grid": ["ceildiv(n, 64)"], "block": [64], "arguments": ["a", "out", "n", "m"]}]}}
// reference: row_sums
// expect: wrong
// says: wrong at
__global__ void rows(const float *a, float *out, int64_t n, int64_t m) {
    int64_t r = blockIdx.x * 64 + threadIdx.x;
    if (r >= n) return;
    double s;
    for (int64_t j = 0; j < m; ++j) s += a[r * m + j];
    out[r] = s;
}
