// How the runtime calls the kernels of a draft. The generated end of a draft's translation unit
// defines `simgpu_kernels`; that kernels take what the plan passes is checked when it is compiled.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>
#include <utility>

namespace simgpu {

// A value, or an address.
struct Argument {
    uint64_t bytes[2];
};

struct Kernel {
    const char *name;
    void (*call)(const Argument *);
    long long most_threads;  // of a block, as the draft declares; 0 where it does not
};

// As the driver does it: a parameter takes as many bytes as it has.
template <class P>
P taken(const Argument &argument) {
    static_assert(sizeof(P) <= 16, "unsupported in simulation: parameters of more than 16 bytes");
    std::remove_const_t<P> value;
    memcpy(&value, argument.bytes, sizeof(P));
    return value;
}

template <auto Function, class... P, size_t... I>
void call_with(const Argument *arguments, void (*)(P...), std::index_sequence<I...>) {
    Function(taken<P>(arguments[I])...);
}

template <auto Function, class... P>
void call(const Argument *arguments) {
    call_with<Function>(arguments, Function, std::index_sequence_for<P...>{});
}

template <auto Function, class... P>
constexpr Kernel kernel_of(const char *name, void (*)(P...), long long most_threads) {
    return {name, &call<Function, P...>, most_threads};
}

}  // namespace simgpu

extern const simgpu::Kernel simgpu_kernels[];
