// What drafts ask of the runtime, which defines all of it.
#pragma once

#include <stdint.h>

#include "simgpu_vectors.h"

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace simgpu {

enum class Combine { none, count, all, any };
enum class WarpOp {
    sync, shuffle, ballot, any, all, match_any, match_all, add, minimum, maximum, bit_and, bit_or,
    bit_xor,
};

// Wait for the whole block; `predicate` is combined over its threads. `place` tells barriers of one
// line apart.
int block_barrier(Combine combine, int predicate, int line, int place = -1);

// Take part in an operation of the lanes in `mask`. For a shuffle `source` is the lane whose value
// is wanted. Values are 64 bits wide; `is_signed` says how minima and maxima read them.
uint64_t warp_operation(WarpOp op, unsigned mask, uint64_t value, int source, int line,
                        bool is_signed = false);

// Tell of an atomic access before it is made, and let other threads run. `confirms`: it leaves the
// right value whatever was read before.
void before_atomic(const volatile void *address, unsigned size, const void *code, bool confirms);
void fence();
unsigned lane_in_block();
char *dynamic_shared();
[[noreturn]] void assertion_failed(const char *text, int line);

}  // namespace simgpu
