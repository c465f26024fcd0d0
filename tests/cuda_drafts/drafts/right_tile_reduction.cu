// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": [4], "block": [128], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: checked
// when: soak
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
__global__ void sum(const double *x, double *out, int64_t n) {
    auto block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    double v = 0;
    for (int64_t i = blockIdx.x * 128 + threadIdx.x; i < n; i += gridDim.x * 128) v += x[i];
    v = cg::reduce(warp, v, cg::plus<double>());
    if (warp.thread_rank() == 0) atomicAdd(out, v);
}
