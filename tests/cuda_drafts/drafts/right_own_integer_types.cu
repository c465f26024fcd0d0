// outpace: {"plan": {"steps": [{"launch": "k", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: bits
// expect: checked
// when: soak
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned long long u64;
template <typename T> __device__ int ones(T v);
template <> __device__ int ones<long long>(long long v) { return __popcll((u64)v); }
template <> __device__ int ones<int>(int v) { return __popc((unsigned)v); }
extern "C" __global__ void k(const long long *x, long long *out, long long n) {
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) out[i] = ones(static_cast<int64_t>(x[i]));
}
