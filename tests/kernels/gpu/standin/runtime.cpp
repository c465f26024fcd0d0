// The runtime of the simulated GPU as a library: one launch at a time, over the caller's memory.

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#define private public
#define main main_of_simulation
#include "main.cpp"

extern "C" __attribute__((visibility("default"))) void standin_launch(
    int kernel, const unsigned *grid, const unsigned *block, size_t shared,
    const simgpu::Argument *arguments) {
    using namespace simgpu;
    reply_descriptor = 2;
    device.dynamic.begin = (uintptr_t)dynamic_shared();
    device.dynamic.size = shared;
    device.kernel = &simgpu_kernels[kernel];
    device.arguments = arguments;
    gridDim = dim3(grid[0], grid[1], grid[2]);
    blockDim = dim3(block[0], block[1], block[2]);
    Call::run_blocks();
}
