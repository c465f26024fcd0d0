// Atomic functions. Fibres do not interrupt each other, so that plain code is atomic; the runtime
// is told of every access and runs other threads before it.
#pragma once

namespace simgpu {

// The type of a value is that of the variable, whatever is passed.
template <class T>
struct Same {
    using type = T;
};

template <bool Confirms, class T, class Change>
SIMGPU_QUIET T atomic_change(volatile T *address, Change change) {
    before_atomic(address, sizeof(T), __builtin_return_address(0), Confirms);
    T *place = const_cast<T *>(address);
    T old = *place;
    *place = change(old);
    return old;
}

}  // namespace simgpu

// Always inlined, so that the return address above lies in the draft.
#define SIMGPU_ATOMIC_IN(name, confirms, expression)                                             \
    template <class T>                                                                           \
    __forceinline__ T name(T *address, typename simgpu::Same<T>::type value) {                   \
        return simgpu::atomic_change<confirms>(address,                                          \
                                               [=](T old) -> T { return expression; });          \
    }
#define SIMGPU_ATOMIC(name, confirms, expression)          \
    SIMGPU_ATOMIC_IN(name, confirms, expression)           \
    SIMGPU_ATOMIC_IN(name##_block, confirms, expression)   \
    SIMGPU_ATOMIC_IN(name##_system, confirms, expression)

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

SIMGPU_ATOMIC(atomicAdd, false, simgpu::wrapping_sum<T>(old, value))
SIMGPU_ATOMIC(atomicSub, false, simgpu::wrapping_difference<T>(old, value))
SIMGPU_ATOMIC(atomicExch, false, value)
SIMGPU_ATOMIC(atomicMin, true, value < old ? value : old)
SIMGPU_ATOMIC(atomicMax, true, old < value ? value : old)
SIMGPU_ATOMIC(atomicAnd, true, old & value)
SIMGPU_ATOMIC(atomicOr, true, old | value)
SIMGPU_ATOMIC(atomicXor, false, old ^ value)
SIMGPU_ATOMIC(atomicInc, false, old >= value ? T(0) : T(old + 1))
SIMGPU_ATOMIC(atomicDec, false, (old == 0 || old > value) ? value : T(old - 1))
#undef SIMGPU_ATOMIC
#undef SIMGPU_ATOMIC_IN

#define SIMGPU_CAS(name)                                                                         \
    template <class T>                                                                           \
    __forceinline__ T name(T *address, typename simgpu::Same<T>::type compare,                   \
                           typename simgpu::Same<T>::type value) {                               \
        return simgpu::atomic_change<true>(                                                      \
            address, [=](T old) -> T { return old == compare ? value : old; });                  \
    }
SIMGPU_CAS(atomicCAS)
SIMGPU_CAS(atomicCAS_block)
SIMGPU_CAS(atomicCAS_system)
#undef SIMGPU_CAS
