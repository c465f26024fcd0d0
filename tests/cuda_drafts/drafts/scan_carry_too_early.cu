// outpace: {"plan": {"steps": [{"launch": "scan", "grid": [1], "block": [128], "arguments": ["x", "out", "n"]}]}}
// reference: prefix
// expect: wrong
// says: a race on `before`
// when: soak
__global__ void scan(const double *x, double *out, int64_t n) {
    __shared__ double room[2][128];
    __shared__ double before;
    int t = threadIdx.x;
    if (t == 0) before = 0.0;
    __syncthreads();
    for (int64_t first = 0; first < n; first += 128) {
        int now = 0;
        room[now][t] = first + t < n ? x[first + t] : 0.0;
        __syncthreads();
        for (int d = 1; d < 128; d *= 2) {
            room[1 - now][t] = room[now][t] + (t >= d ? room[now][t - d] : 0.0);
            now = 1 - now;
            __syncthreads();
        }
        if (first + t < n) out[first + t] = before + room[now][t];
        if (t == 0) before += room[now][127];
        __syncthreads();
    }
}
