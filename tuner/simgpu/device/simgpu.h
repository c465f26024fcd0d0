// CUDA C++ device code on the CPU: what a draft sees. The runtime is in ../runtime.
//
// Every thread of a block is a fibre; they take turns at barriers, warp operations and atomics.
// Shared variables are thread-local storage of the one thread that there is, so that the runtime
// finds them in one segment of the executable.
#pragma once

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

// Each place in the text is a barrier of its own, two on one line as well.
#define SIMGPU_BARRIER(combine, ...) \
    simgpu::block_barrier(simgpu::Combine::combine, __VA_ARGS__, __LINE__, __COUNTER__)
#define __syncthreads() ((void)SIMGPU_BARRIER(none, 0))
#define __syncthreads_count(...) SIMGPU_BARRIER(count, (__VA_ARGS__))
#define __syncthreads_and(...) SIMGPU_BARRIER(all, (__VA_ARGS__))
#define __syncthreads_or(...) SIMGPU_BARRIER(any, (__VA_ARGS__))
inline void __threadfence() { simgpu::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { simgpu::fence(); }

// --- odds and ends ---

#include <assert.h>
inline void __trap() { simgpu::assertion_failed("__trap()", 0); }
inline void __nanosleep(unsigned) {}
inline size_t __cvta_generic_to_shared(const void *pointer) { return (size_t)pointer; }

#include "simgpu_atomics.h"
#include "simgpu_math.h"
#include "simgpu_missing.h"
#include "simgpu_warp.h"

// Integers of 64 bits are `long long` on the device, as pointers to them show.
typedef long long simgpu_int64_t;
typedef unsigned long long simgpu_uint64_t;

// Copies of which every byte is seen by the checks of accesses.
inline void *simgpu_memcpy(void *to, const void *from, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) ((char *)to)[i] = ((const char *)from)[i];
    return to;
}
inline void *simgpu_memset(void *to, int value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) ((char *)to)[i] = (char)value;
    return to;
}
namespace std {
using ::simgpu_int64_t, ::simgpu_uint64_t, ::simgpu_memcpy, ::simgpu_memset;
}
#define int64_t simgpu_int64_t
#define uint64_t simgpu_uint64_t
#define memcpy simgpu_memcpy
#define memset simgpu_memset

// Names that the C library has and the device does not: they are the draft's.
#define div simgpu_own_div
#define index simgpu_own_index
#define random simgpu_own_random
#define remove simgpu_own_remove
#define rename simgpu_own_rename
#define select simgpu_own_select
