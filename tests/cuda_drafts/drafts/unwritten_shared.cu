// outpace: {"plan": {"buffers": [{"name": "next", "dtype": "float64", "shape": ["y", "x"]}], "steps": [{"copy": ["u", "out"]}, {"repeat": "t", "range": [0, "steps", 1], "steps": [{"launch": "step", "grid": ["ceildiv(x, 16)", "ceildiv(y, 16)"], "block": [16, 16], "arguments": ["out", "next", "y", "x"]}, {"swap": ["out", "next"]}]}]}}
// reference: jacobi
// expect: wrong
// says: wrong at
// when: soak
// A side of the halo keeps what an earlier block has left.
__global__ void step(const double *__restrict__ u, double *__restrict__ v, int64_t ny, int64_t nx) {
    __shared__ double tile[18][18];
    int64_t x = blockIdx.x * 16 + threadIdx.x, y = blockIdx.y * 16 + threadIdx.y;
    int tx = threadIdx.x + 1, ty = threadIdx.y + 1;
    bool inside = x < nx && y < ny;
    if (inside) {
        tile[ty][tx] = u[y * nx + x];
        if (threadIdx.x == 0 && x > 0) tile[ty][0] = u[y * nx + x - 1];
        if (threadIdx.x == 15 && x + 1 < nx) tile[ty][17] = u[y * nx + x + 1];
        if (threadIdx.y == 0 && y > 0) tile[0][tx] = u[(y - 1) * nx + x];
    }
    __syncthreads();
    if (!inside) return;
    bool edge = x == 0 || y == 0 || x == nx - 1 || y == ny - 1;
    v[y * nx + x] = edge ? tile[ty][tx]
                         : 0.25 * (tile[ty - 1][tx] + tile[ty + 1][tx] + tile[ty][tx - 1] +
                                   tile[ty][tx + 1]);
}
