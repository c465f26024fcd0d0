// Reductions over tiles of a warp.
#pragma once

#include <cooperative_groups.h>

namespace cooperative_groups {

template <class T = void> struct plus { T operator()(T a, T b) const { return a + b; } };
template <class T = void> struct less { T operator()(T a, T b) const { return b < a ? b : a; } };
template <class T = void> struct greater { T operator()(T a, T b) const { return a < b ? b : a; } };
template <class T = void> struct bit_and { T operator()(T a, T b) const { return a & b; } };
template <class T = void> struct bit_or { T operator()(T a, T b) const { return a | b; } };
template <class T = void> struct bit_xor { T operator()(T a, T b) const { return a ^ b; } };

template <unsigned Size, class Parent, class T, class Combine>
T reduce(const thread_block_tile<Size, Parent> &tile, T value, Combine combine, SIMGPU_LINE) {
    for (unsigned bits = Size / 2; bits > 0; bits /= 2)
        value = combine(value, tile.shfl_xor(value, bits, simgpu_line));
    return value;
}

}  // namespace cooperative_groups
