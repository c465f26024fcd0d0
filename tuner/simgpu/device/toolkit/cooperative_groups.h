// The part of cooperative groups that blocks and tiles of a warp need.
#pragma once

namespace cooperative_groups {

struct thread_block {
    void sync(SIMGPU_LINE) const {
        simgpu::block_barrier(simgpu::Combine::none, 0, simgpu_line);
    }
    unsigned thread_rank() const { return simgpu::lane_in_block(); }
    unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
    unsigned num_threads() const { return size(); }
    dim3 group_index() const { return dim3(blockIdx); }
    dim3 thread_index() const { return dim3(threadIdx); }
    dim3 group_dim() const { return blockDim; }
    dim3 dim_threads() const { return blockDim; }
};
inline thread_block this_thread_block() { return {}; }

template <unsigned Size, class Parent = void>
struct thread_block_tile {
    static_assert(Size >= 1 && Size <= 32 && (Size & (Size - 1)) == 0,
                  "unsupported in simulation: tiles that are not 1, 2, 4, 8, 16 or 32 wide");
    thread_block_tile() = default;
    // A tile of any parent is one where the parent is not named.
    template <class Other> thread_block_tile(const thread_block_tile<Size, Other> &) {}
    static unsigned mask() {
        return (Size == 32 ? 0xffffffffu : (1u << Size) - 1u) << (simgpu::lane() & ~(Size - 1u));
    }
    unsigned thread_rank() const { return simgpu::lane() & (Size - 1u); }
    static constexpr unsigned size() { return Size; }
    static constexpr unsigned num_threads() { return Size; }
    unsigned meta_group_rank() const { return simgpu::lane_in_block() / Size; }
    unsigned meta_group_size() const {
        return (blockDim.x * blockDim.y * blockDim.z + Size - 1u) / Size;
    }
    void sync(SIMGPU_LINE) const { __syncwarp(mask(), simgpu_line); }
    template <class T> T shfl(T value, int source, SIMGPU_LINE) const {
        return in_words(value, [&](auto word) {
            return __shfl_sync(mask(), word, source, (int)Size, simgpu_line);
        });
    }
    template <class T> T shfl_up(T value, unsigned delta, SIMGPU_LINE) const {
        return in_words(value, [&](auto word) {
            return __shfl_up_sync(mask(), word, delta, (int)Size, simgpu_line);
        });
    }
    template <class T> T shfl_down(T value, unsigned delta, SIMGPU_LINE) const {
        return in_words(value, [&](auto word) {
            return __shfl_down_sync(mask(), word, delta, (int)Size, simgpu_line);
        });
    }
    template <class T> T shfl_xor(T value, unsigned bits, SIMGPU_LINE) const {
        return in_words(value, [&](auto word) {
            return __shfl_xor_sync(mask(), word, (int)bits, (int)Size, simgpu_line);
        });
    }
    template <class T> unsigned match_any(T value, SIMGPU_LINE) const {
        return __match_any_sync(mask(), value, simgpu_line) >> (simgpu::lane() & ~(Size - 1u));
    }
    int any(int predicate, SIMGPU_LINE) const { return __any_sync(mask(), predicate, simgpu_line); }
    int all(int predicate, SIMGPU_LINE) const { return __all_sync(mask(), predicate, simgpu_line); }
    unsigned ballot(int predicate, SIMGPU_LINE) const {
        return __ballot_sync(mask(), predicate, simgpu_line) >> (simgpu::lane() & ~(Size - 1u));
    }

  private:
    // Values of up to 32 bytes travel in words of 4.
    template <class T, class Move> static T in_words(T value, Move move) {
        static_assert(sizeof(T) <= 32 && std::is_trivially_copyable_v<T>,
                      "tiles exchange values of at most 32 bytes");
        uint32_t words[(sizeof(T) + 3) / 4] = {};
        __builtin_memcpy(words, &value, sizeof(T));
        for (uint32_t &word : words) word = move(word);
        __builtin_memcpy(&value, words, sizeof(T));
        return value;
    }
};

template <unsigned Size, class Parent>
inline thread_block_tile<Size, Parent> tiled_partition(const Parent &) { return {}; }
template <class Parent>
__attribute__((error("unsupported in simulation: tiles whose size is not a template argument")))
thread_block_tile<32, Parent> tiled_partition(const Parent &, unsigned);
template <class Group>
inline void sync(const Group &group, SIMGPU_LINE) { group.sync(simgpu_line); }

}  // namespace cooperative_groups
