// outpace: {"plan": {"steps": [{"launch": "axpy", "grid": ["ceildiv(n, 128)"], "block": [128], "arguments": ["a", "x", "y", "out", "n"]}]}}
// reference: axpy
// expect: crashed
// says: stack
__device__ double deeper(double a, int64_t n) {
    volatile double room[64];
    room[n % 64] = a;
    return deeper(room[n % 64], n + 1) + room[n % 64];
}

__global__ void axpy(double a, const double *x, const double *y, double *out, int64_t n) {
    out[0] = deeper(a, n);
}
