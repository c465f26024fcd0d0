// outpace: {"plan": {"steps": [{"launch": "mm", "grid": ["ceildiv(m, 8)", "ceildiv(n, 8)"], "block": [8, 8], "arguments": ["a", "b", "out", "n", "k", "m"]}]}}
// reference: product
// expect: wrong
// says: a race on `
// when: soak
__global__ void mm(const double *a, const double *b, double *c, int n, int k, int m) {
    __shared__ double A[2][8][8], B[2][8][8];
    int tx = threadIdx.x, ty = threadIdx.y, r = blockIdx.y * 8 + ty, q = blockIdx.x * 8 + tx;
    double s = 0; int cur = 0;
    auto load = [&](int w, int t) { A[w][ty][tx] = r < n && t + tx < k ? a[r * k + t + tx] : 0; B[w][ty][tx] = q < m && t + ty < k ? b[(t + ty) * m + q] : 0; };
    load(0, 0);
    for (int t = 0; t < k; t += 8) {
        __syncthreads();
        if (t + 8 < k) load(cur, t + 8);
        for (int z = 0; z < 8; ++z) s += A[cur][ty][z] * B[cur][z][tx];
        cur ^= 1;
    }
    if (r < n && q < m) c[r * m + q] = s;
}
