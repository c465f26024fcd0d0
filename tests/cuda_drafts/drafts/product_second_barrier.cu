// outpace: {"plan": {"steps": [{"launch": "multiply", "grid": ["ceildiv(m, TILE)", "ceildiv(n, TILE)"], "block": ["TILE", "TILE"], "arguments": ["a", "b", "out", "n", "k", "m"], "shared": "2 * 8 * TILE * TILE"}]}, "parameters": {"TILE": [8, 16]}}
// reference: product
// expect: wrong
// says: a race on `dynamic shared memory`
// when: soak
__global__ void multiply(const double *a, const double *b, double *out, int64_t n, int64_t k, int64_t m) {
    extern __shared__ __align__(16) double room[];
    double *left = room, *right = room + TILE * TILE;
    int tx = threadIdx.x, ty = threadIdx.y;
    int64_t row = blockIdx.y * (int64_t)TILE + ty, column = blockIdx.x * (int64_t)TILE + tx;
    double sum = 0.0;
    for (int64_t first = 0; first < k; first += TILE) {
        left[ty * TILE + tx] = row < n && first + tx < k ? a[row * k + first + tx] : 0.0;
        right[ty * TILE + tx] = first + ty < k && column < m ? b[(first + ty) * m + column] : 0.0;
        __syncthreads();
        for (int j = 0; j < TILE; ++j) sum += left[ty * TILE + j] * right[j * TILE + tx];
    }
    if (row < n && column < m) out[row * m + column] = sum;
}
