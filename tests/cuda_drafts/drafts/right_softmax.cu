// outpace: {"plan": {"steps": [{"launch": "softmax", "grid": ["n"], "block": [64], "arguments": ["x", "out", "m"]}]}}
// reference: softmax
// expect: checked
#include <cooperative_groups.h>
namespace cg = cooperative_groups;

template <class Fold>
__device__ double folded(double value, double *room, Fold fold) {
    cg::thread_block block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    for (int k = warp.size() / 2; k > 0; k /= 2) value = fold(value, warp.shfl_xor(value, k));
    if (warp.thread_rank() == 0) room[warp.meta_group_rank()] = value;
    block.sync();
    value = fold(room[0], room[1]);
    block.sync();
    return value;
}

__global__ void softmax(const double *x, double *out, int64_t m) {
    __shared__ double room[2];
    const double *row = x + blockIdx.x * m;
    double most = -INFINITY, sum = 0.0;
    for (int64_t j = threadIdx.x; j < m; j += 64) most = max(most, row[j]);
    most = folded(most, room, [](double a, double b) { return fmax(a, b); });
    for (int64_t j = threadIdx.x; j < m; j += 64) sum += exp(row[j] - most);
    sum = folded(sum, room, [](double a, double b) { return a + b; });
    for (int64_t j = threadIdx.x; j < m; j += 64) out[blockIdx.x * m + j] = exp(row[j] - most) / sum;
}
