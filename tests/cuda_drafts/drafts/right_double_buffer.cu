// outpace: {"parameters": {"T": [16, 8]}, "plan": {"steps": [{"launch": "mm", "grid": ["ceildiv(m, T)", "ceildiv(n, T)"], "block": ["T", "T"], "arguments": ["a", "b", "out", "n", "k", "m"]}]}}
// reference: product
// expect: checked
// when: soak
__global__ void mm(const double *a, const double *b, double *c, int n, int k, int m) {
    __shared__ double As[2][T][T + 1];
    __shared__ double Bs[2][T][T + 1];
    const int tx = threadIdx.x, ty = threadIdx.y;
    const int row = blockIdx.y * T + ty, col = blockIdx.x * T + tx;
    int tiles = (k + T - 1) / T;
    auto load = [&](int s, int t) {
        int ka = t * T + tx, kb = t * T + ty;
        As[s][ty][tx] = (row < n && ka < k) ? a[row * k + ka] : 0.0;
        Bs[s][ty][tx] = (col < m && kb < k) ? b[kb * m + col] : 0.0;
    };
    double acc = 0;
    if (tiles > 0) load(0, 0);
    __syncthreads();
    for (int t = 0; t < tiles; ++t) {
        int cur = t & 1;
        if (t + 1 < tiles) load(cur ^ 1, t + 1);
        #pragma unroll
        for (int q = 0; q < T; ++q) acc += As[cur][ty][q] * Bs[cur][q][tx];
        __syncthreads();
    }
    if (row < n && col < m) c[row * m + col] = acc;
}
