// outpace: {"plan": {"steps": [{"launch": "mm", "grid": ["ceildiv(m, 16)", "ceildiv(n, 16)"], "block": [16, 16], "arguments": ["a", "b", "out", "n", "k", "m"]}]}}
// reference: product
// expect: wrong
// says: wrong at
// when: soak
__global__ void mm(const double *a, const double *b, double *c, int n, int k, int m) {
    __shared__ double A[16][16], B[16][16];
    int tx = threadIdx.x, ty = threadIdx.y, r = blockIdx.y * 16 + ty, q = blockIdx.x * 16 + tx;
    double s = 0;
    A[ty][tx] = B[ty][tx] = 0;
    for (int t = 0; t < k; t += 16) {
        if (r < n && t + tx < k) A[ty][tx] = a[r * k + t + tx];
        if (q < m && t + ty < k) B[ty][tx] = b[(t + ty) * m + q];
        __syncthreads();
        for (int z = 0; z < 16; ++z) s += A[ty][z] * B[z][tx];
        __syncthreads();
    }
    if (r < n && q < m) c[r * m + q] = s;
}
