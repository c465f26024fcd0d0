// Atomic functions. Fibres do not interrupt each other, so that plain code is atomic; the runtime
// is told of every access and runs other threads before it.
#pragma once

namespace simgpu {

// The type of a value is that of the variable, whatever is passed.
template <class T>
struct Same {
    using type = T;
};

template <class T, class Change>
SIMGPU_QUIET T atomic_change(volatile T *address, Change change) {
    before_atomic(address, sizeof(T), __builtin_return_address(0));
    T *place = const_cast<T *>(address);
    T old = *place;
    *place = change(old);
    return old;
}

}  // namespace simgpu

// Always inlined, so that the return address above lies in the draft.
#define SIMGPU_ATOMIC_IN(name, expression)                                                       \
    template <class T>                                                                           \
    __forceinline__ T name(T *address, typename simgpu::Same<T>::type value) {                   \
        return simgpu::atomic_change(address, [=](T old) -> T { return expression; });           \
    }
#define SIMGPU_ATOMIC(name, expression)          \
    SIMGPU_ATOMIC_IN(name, expression)           \
    SIMGPU_ATOMIC_IN(name##_block, expression)   \
    SIMGPU_ATOMIC_IN(name##_system, expression)

// Integer sums wrap, as they do on a GPU.
namespace simgpu {
template <class T>
T wrapping_sum(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
        using U = std::make_unsigned_t<T>;
        return (T)((U)a + (U)b);
    } else {
        return a + b;
    }
}
template <class T>
T wrapping_difference(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
        using U = std::make_unsigned_t<T>;
        return (T)((U)a - (U)b);
    } else {
        return a - b;
    }
}
}  // namespace simgpu

SIMGPU_ATOMIC(atomicAdd, simgpu::wrapping_sum<T>(old, value))
SIMGPU_ATOMIC(atomicSub, simgpu::wrapping_difference<T>(old, value))
SIMGPU_ATOMIC(atomicExch, value)
SIMGPU_ATOMIC(atomicMin, value < old ? value : old)
SIMGPU_ATOMIC(atomicMax, old < value ? value : old)
SIMGPU_ATOMIC(atomicAnd, old & value)
SIMGPU_ATOMIC(atomicOr, old | value)
SIMGPU_ATOMIC(atomicXor, old ^ value)
SIMGPU_ATOMIC(atomicInc, old >= value ? T(0) : T(old + 1))
SIMGPU_ATOMIC(atomicDec, (old == 0 || old > value) ? value : T(old - 1))
#undef SIMGPU_ATOMIC
#undef SIMGPU_ATOMIC_IN

template <class T>
__forceinline__ T atomicCAS(T *address, typename simgpu::Same<T>::type compare,
                            typename simgpu::Same<T>::type value) {
    return simgpu::atomic_change(address, [=](T old) -> T { return old == compare ? value : old; });
}
