// CUDA C++ device code on the CPU: what a draft sees. The runtime is in ../runtime.
//
// Every thread of a block is a fibre; they take turns at barriers, warp operations and atomics.
// Shared variables are thread-local storage of the one thread that there is, so that the runtime
// finds them in one segment of the executable.
#pragma once

#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>

#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#ifndef __CUDA_ARCH__
#define __CUDA_ARCH__ 900
#endif

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__
#define __shared__ thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __builtin_assume(condition) ((void)0)
#define __assume(condition) ((void)0)

// Of no instrumented access: what the header does for a draft is told to the runtime in words.
#define SIMGPU_QUIET __attribute__((noinline, no_sanitize("thread")))
#define SIMGPU_LINE int simgpu_line = __builtin_LINE()

#include "simgpu_interface.h"

static const int warpSize = 32;

// --- barriers and fences ---

inline void __syncthreads(SIMGPU_LINE) {
    simgpu::block_barrier(simgpu::Combine::none, 0, simgpu_line);
}
inline int __syncthreads_count(int predicate, SIMGPU_LINE) {
    return simgpu::block_barrier(simgpu::Combine::count, predicate, simgpu_line);
}
inline int __syncthreads_and(int predicate, SIMGPU_LINE) {
    return simgpu::block_barrier(simgpu::Combine::all, predicate, simgpu_line);
}
inline int __syncthreads_or(int predicate, SIMGPU_LINE) {
    return simgpu::block_barrier(simgpu::Combine::any, predicate, simgpu_line);
}
inline void __threadfence() { simgpu::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { simgpu::fence(); }

// --- odds and ends ---

#undef assert
#define assert(condition) \
    ((condition) ? (void)0 : simgpu::assertion_failed(#condition, __LINE__))
inline void __trap() { simgpu::assertion_failed("__trap()", 0); }
inline long long clock64() { return (long long)simgpu::ticks(); }
inline void __nanosleep(unsigned) {}
inline size_t __cvta_generic_to_shared(const void *pointer) { return (size_t)pointer; }

#include "simgpu_atomics.h"
#include "simgpu_math.h"
#include "simgpu_warp.h"
