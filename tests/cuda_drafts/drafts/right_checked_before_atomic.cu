// outpace: {"plan": {"steps": [{"fill": "bits", "value": 0}, {"launch": "mx", "grid": [4], "block": [64], "arguments": ["x", "bits", "n"]}, {"launch": "fin", "grid": [1], "block": [1], "arguments": ["bits", "out", "n"]}], "buffers": [{"name": "bits", "dtype": "uint64", "shape": [1]}]}}
// reference: largest
// expect: checked
__device__ unsigned long long key(double v) { long long b = __double_as_longlong(v); return b < 0 ? ~(unsigned long long)b : (unsigned long long)b | 0x8000000000000000ULL; }
__global__ void mx(const double *x, unsigned long long *bits, int64_t n) {
    for (int64_t i = blockIdx.x * 64 + threadIdx.x; i < n; i += gridDim.x * 64) {
        unsigned long long k = key(x[i]);
        if (*bits < k) atomicMax(bits, k);
    }
}
__global__ void fin(const unsigned long long *bits, double *out, int64_t n) {
    unsigned long long k = *bits;
    out[0] = n == 0 ? 0.0 : __longlong_as_double((k >> 63) ? (long long)(k & 0x7fffffffffffffffULL) : (long long)~k);
}
