// Warp shuffles, votes, matches and reductions.
#pragma once

inline void __syncwarp(unsigned mask = 0xffffffffu, SIMGPU_LINE) {
    simgpu::warp_operation(simgpu::WarpOp::sync, mask, 0, 0, simgpu_line);
}

namespace simgpu {

inline unsigned lane() { return lane_in_block() % 32u; }

template <class T>
T shuffle(unsigned mask, T value, int source, int line) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>,
                  "shuffles take values of at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    bits = warp_operation(WarpOp::shuffle, mask, bits, source, line);
    memcpy(&value, &bits, sizeof(T));
    return value;
}

template <class T>
T reduce(WarpOp op, unsigned mask, T value, int line) {
    return (T)warp_operation(op, mask, (uint64_t)(int64_t)value, 0, line, std::is_signed_v<T>);
}

}  // namespace simgpu

// The source of a lane stays in its own group of `width` lanes; else a lane reads itself.
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, SIMGPU_LINE) {
    int first = (int)simgpu::lane() & ~(width - 1);
    return simgpu::shuffle(mask, value, first + (source & (width - 1)), simgpu_line);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMGPU_LINE) {
    int lane = (int)simgpu::lane(), from = lane - (int)delta;
    return simgpu::shuffle(mask, value, from < (lane & ~(width - 1)) ? lane : from, simgpu_line);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMGPU_LINE) {
    int lane = (int)simgpu::lane(), from = lane + (int)delta;
    int end = (lane & ~(width - 1)) + width;
    return simgpu::shuffle(mask, value, from >= end ? lane : from, simgpu_line);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, SIMGPU_LINE) {
    int lane = (int)simgpu::lane(), from = lane ^ bits;
    int end = (lane & ~(width - 1)) + width;
    return simgpu::shuffle(mask, value, from >= end ? lane : from, simgpu_line);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, SIMGPU_LINE) {
    using namespace simgpu;
    return (unsigned)warp_operation(WarpOp::ballot, mask, predicate != 0, 0, simgpu_line);
}
inline int __any_sync(unsigned mask, int predicate, SIMGPU_LINE) {
    using namespace simgpu;
    return (int)warp_operation(WarpOp::any, mask, predicate != 0, 0, simgpu_line);
}
inline int __all_sync(unsigned mask, int predicate, SIMGPU_LINE) {
    using namespace simgpu;
    return (int)warp_operation(WarpOp::all, mask, predicate != 0, 0, simgpu_line);
}
template <class T>
inline unsigned __match_any_sync(unsigned mask, T value, SIMGPU_LINE) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    using namespace simgpu;
    return (unsigned)warp_operation(WarpOp::match_any, mask, bits, 0, simgpu_line);
}
template <class T>
inline unsigned __match_all_sync(unsigned mask, T value, int *predicate, SIMGPU_LINE) {
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    using namespace simgpu;
    unsigned found = (unsigned)warp_operation(WarpOp::match_all, mask, bits, 0, simgpu_line);
    *predicate = found != 0;
    return found;
}

// No thread is promised to run together with any other, so that each may find itself alone.
inline unsigned __activemask() { return 1u << simgpu::lane(); }

#define SIMGPU_REDUCE(name, op)                                                        \
    template <class T>                                                                 \
    inline T name(unsigned mask, T value, SIMGPU_LINE) {                               \
        static_assert(sizeof(T) == 4, #name " takes 32-bit integers");                 \
        return simgpu::reduce(simgpu::WarpOp::op, mask, value, simgpu_line);           \
    }
SIMGPU_REDUCE(__reduce_add_sync, add)
SIMGPU_REDUCE(__reduce_min_sync, minimum)
SIMGPU_REDUCE(__reduce_max_sync, maximum)
SIMGPU_REDUCE(__reduce_and_sync, bit_and)
SIMGPU_REDUCE(__reduce_or_sync, bit_or)
SIMGPU_REDUCE(__reduce_xor_sync, bit_xor)
#undef SIMGPU_REDUCE
