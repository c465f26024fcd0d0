// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": ["min(max(ceildiv(n, 256),1),8)"], "block": [256], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: checked
// when: soak
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
__device__ double tile_sum(cg::thread_block_tile<32> tile, double v) {
    for (int o = tile.size() / 2; o > 0; o /= 2) v += tile.shfl_down(v, o);
    return v;
}
__global__ void sum(const double *x, double *out, int64_t n) {
    cg::thread_block block = cg::this_thread_block();
    auto tile = cg::tiled_partition<32>(block);
    double v = 0;
    for (int64_t i = blockIdx.x * (int64_t)block.size() + block.thread_rank(); i < n; i += (int64_t)gridDim.x * block.size()) v += x[i];
    v = tile_sum(tile, v);
    if (tile.thread_rank() == 0) atomicAdd(out, v);
}
