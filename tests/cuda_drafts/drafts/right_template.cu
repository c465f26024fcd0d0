// outpace: {"plan": {"steps": [{"launch": "axpy<ITEMS, double>", "grid": ["ceildiv(n, 64 * ITEMS)"], "block": [64], "arguments": ["a", "x", "y", "out", "n"]}]}, "parameters": {"ITEMS": [1, 2, 4]}}
// reference: axpy
// expect: checked
// when: soak
template <int Items, typename T>
__global__ void __launch_bounds__(64) axpy(T a, const T *__restrict__ x, const T *__restrict__ y, T *out, int64_t n) {
    int64_t first = (blockIdx.x * (int64_t)blockDim.x + threadIdx.x) * Items;
#pragma unroll
    for (int k = 0; k < Items; ++k)
        if (first + k < n) out[first + k] = a * x[first + k] + y[first + k];
}
