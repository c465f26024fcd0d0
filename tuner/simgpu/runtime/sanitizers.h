// What the address and the undefined-behaviour sanitizer find, as findings of the runtime.
//
// The handlers take the place of libubsan's; their names and arguments are those of the compiler's
// interface (`ubsan_handlers.h` of compiler-rt).
#pragma once

#include "accesses.h"

#ifdef SIMGPU_SANITIZED
#include <sanitizer/asan_interface.h>

namespace simgpu {

struct Place {
    const char *file;
    uint32_t line, column;
};

[[noreturn]] inline void undefined(const char *what, const Place &place) {
    Report report("undefined");
    report.field("what", what).field("line", place.line);
    report.triple("thread", threadIdx.x, threadIdx.y, threadIdx.z);
    report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z).send();
}

// Before the arrays are unmapped: what comes to lie there must not be poisoned.
inline void forget_gaps() {
    __asan_unpoison_memory_region((void *)globals.begin, globals.end - globals.begin);
}

inline void poison_gaps() {
    __asan_poison_memory_region((void *)globals.begin, globals.end - globals.begin);
    for (const Region &r : globals.regions) __asan_unpoison_memory_region((void *)r.begin, r.size);
}

inline void poison_dynamic_rest() {
    __asan_unpoison_memory_region((void *)device.dynamic.begin, DYNAMIC_ROOM);
    __asan_poison_memory_region((void *)device.dynamic.end(), DYNAMIC_ROOM - device.dynamic.size);
}

}  // namespace simgpu

extern "C" {

const char *__asan_default_options() {
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:detect_leaks=0:detect_stack_use_after_"
           "return=0:abort_on_error=0:allocator_may_return_null=1";
}

void __asan_on_error() {
    uintptr_t address = (uintptr_t)__asan_get_report_address();
    bool is_write = __asan_get_report_access_type() != 0;
    size_t size = __asan_get_report_access_size();
    uintptr_t code = (uintptr_t)__asan_get_report_pc() + 1;  // as a return address
    if (simgpu::globals.holds(address))
        simgpu::region_of(address, size, is_write, code);
    const simgpu::Region &dynamic = simgpu::device.dynamic;
    if (address - dynamic.begin < simgpu::DYNAMIC_ROOM)
        simgpu::report_access("bounds", dynamic.name.c_str(), (long long)(address - dynamic.begin),
                              size, is_write, code);
    simgpu::report_access("bounds", __asan_get_report_description(), 0, size, is_write, code);
}

#define SIMGPU_UNDEFINED(name, what)                                                  \
    void __ubsan_handle_##name(simgpu::Place *place, uintptr_t, uintptr_t) {          \
        simgpu::undefined(what, *place);                                              \
    }                                                                                 \
    void __ubsan_handle_##name##_abort(simgpu::Place *place, uintptr_t, uintptr_t) {  \
        simgpu::undefined(what, *place);                                              \
    }
SIMGPU_UNDEFINED(add_overflow, "integer overflow in a sum")
SIMGPU_UNDEFINED(sub_overflow, "integer overflow in a difference")
SIMGPU_UNDEFINED(mul_overflow, "integer overflow in a product")
SIMGPU_UNDEFINED(negate_overflow, "integer overflow in a negation")
SIMGPU_UNDEFINED(divrem_overflow, "integer division by zero, or overflow in one")
SIMGPU_UNDEFINED(shift_out_of_bounds, "a shift by too much, or of a negative number")
SIMGPU_UNDEFINED(out_of_bounds, "an index outside of its array")
SIMGPU_UNDEFINED(missing_return, "the end of a function that returns a value")
SIMGPU_UNDEFINED(builtin_unreachable, "code that was declared unreachable")

struct SimgpuTypeMismatch {
    simgpu::Place place;
    const void *type;
    unsigned char alignment;
    unsigned char kind;
};
void __ubsan_handle_type_mismatch_v1(SimgpuTypeMismatch *found, uintptr_t pointer) {
    uintptr_t align = (uintptr_t)1 << found->alignment;
    simgpu::undefined(!pointer ? "a null pointer is followed"
                      : pointer % align ? "a misaligned address"
                                        : "an access beyond an object",
                      found->place);
}
void __ubsan_handle_type_mismatch_v1_abort(SimgpuTypeMismatch *found, uintptr_t pointer) {
    __ubsan_handle_type_mismatch_v1(found, pointer);
}
}
#else
namespace simgpu {
inline void forget_gaps() {}
inline void poison_gaps() {}
inline void poison_dynamic_rest() {}
}  // namespace simgpu
#endif
