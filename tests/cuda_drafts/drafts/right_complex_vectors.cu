// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["z", "c", "out", "n"]}]}}
// reference: rotated
// expect: checked
// when: soak
__device__ __host__ inline double2 operator*(double2 a, double2 b) { return make_double2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
__global__ void k(const double2 *z, const double2 *c, double2 *out, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) out[i] = z[i] * c[i];
}
