// outpace: {"plan": {"steps": [{"copy": ["u", "out"]}, {"copy": ["u", "tmp"]}, {"repeat": "t", "range": [0, "steps", 1], "steps": [{"launch": "st", "grid": ["ceildiv(x, 16)", "ceildiv(y, 4)"], "block": [16, 4], "arguments": ["out", "tmp", "y", "x"]}, {"swap": ["out", "tmp"]}]}], "buffers": [{"name": "tmp", "dtype": "float64", "shape": ["y", "x"]}]}}
// reference: jacobi
// expect: wrong
// when: soak
__global__ void st(const double *a, double *b, int64_t y, int64_t x) {
    __shared__ double s[6][18];
    int tx = threadIdx.x + 1, ty = threadIdx.y + 1; int64_t j = blockIdx.x * 16LL + threadIdx.x, i = blockIdx.y * 4LL + threadIdx.y;
    bool in = i < y && j < x;
    if (in) { s[ty][tx] = a[i * x + j];
      if (tx == 1 && j > 0) s[ty][0] = a[i * x + j - 1];
      if (tx == 16 && j + 1 < x) s[ty][18] = a[i * x + j + 1];
      if (ty == 1 && i > 0) s[0][tx] = a[(i - 1) * x + j];
      if (ty == 4 && i + 1 < y) s[5][tx] = a[(i + 1) * x + j]; }
    __syncthreads();
    if (in && i > 0 && j > 0 && i < y - 1 && j < x - 1) b[i * x + j] = 0.25 * (s[ty - 1][tx] + s[ty + 1][tx] + s[ty][tx - 1] + s[ty][tx + 1]);
}
