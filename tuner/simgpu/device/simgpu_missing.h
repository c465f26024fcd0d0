// What CUDA declares and the simulation does not have. A draft that calls it does not compile, and is
// told apart from a mistake by the text.
#pragma once

#define SIMGPU_MISSING(name, text) \
    template <class... Any>        \
    __attribute__((error("unsupported in simulation: " text))) double name(Any...);
#define SIMGPU_MISSING_BOTH(name)      \
    SIMGPU_MISSING(name, #name)        \
    SIMGPU_MISSING(name##f, #name "f")
#define SIMGPU_ROUNDED(name)              \
    SIMGPU_MISSING(name##_rd, #name "_rd") \
    SIMGPU_MISSING(name##_ru, #name "_ru")

SIMGPU_MISSING_BOTH(erfinv)
SIMGPU_MISSING_BOTH(erfcinv)
SIMGPU_MISSING_BOTH(erfcx)
SIMGPU_MISSING_BOTH(normcdfinv)
SIMGPU_MISSING_BOTH(cyl_bessel_i0)
SIMGPU_MISSING_BOTH(cyl_bessel_i1)
SIMGPU_ROUNDED(__fadd)
SIMGPU_ROUNDED(__fsub)
SIMGPU_ROUNDED(__fmul)
SIMGPU_ROUNDED(__fdiv)
SIMGPU_ROUNDED(__fmaf)
SIMGPU_ROUNDED(__frcp)
SIMGPU_ROUNDED(__fsqrt)
SIMGPU_ROUNDED(__dadd)
SIMGPU_ROUNDED(__dsub)
SIMGPU_ROUNDED(__dmul)
SIMGPU_ROUNDED(__ddiv)
SIMGPU_ROUNDED(__fma)
SIMGPU_ROUNDED(__drcp)
SIMGPU_ROUNDED(__dsqrt)
SIMGPU_MISSING(__fadd_rz, "__fadd_rz")
SIMGPU_MISSING(__fmul_rz, "__fmul_rz")
SIMGPU_MISSING(__dadd_rz, "__dadd_rz")
SIMGPU_MISSING(__dmul_rz, "__dmul_rz")
SIMGPU_MISSING(__dp4a, "__dp4a")
SIMGPU_MISSING(__dp2a_lo, "__dp2a_lo")
SIMGPU_MISSING(__dp2a_hi, "__dp2a_hi")

// A result that depends on the time is checked by nothing.
SIMGPU_MISSING(clock64, "the clock")
SIMGPU_MISSING(__globaltimer, "the clock")
extern "C" __attribute__((error("unsupported in simulation: the clock"))) clock_t clock() noexcept;
#undef SIMGPU_ROUNDED
#undef SIMGPU_MISSING_BOTH
#undef SIMGPU_MISSING
