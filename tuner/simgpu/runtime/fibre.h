// Fibres: stacks of their own that the scheduler enters and that leave to it again.
//
// On x86-64 a switch saves the registers that calls preserve; elsewhere ucontext is used, which
// costs system calls. The address sanitizer is told of every switch.
#pragma once

#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <vector>

#include "report.h"

#ifdef SIMGPU_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

namespace simgpu {

constexpr size_t STACK = 256 * 1024, STACK_GUARD = 4096;

// Stacks with a guard page below, used again as soon as a thread has ended.
class Stacks {
  public:
    char *take() {
        if (free_ones.empty()) {
            char *place = (char *)mmap(nullptr, STACK + STACK_GUARD, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (place == MAP_FAILED) Report("memory").field("bytes", (long long)STACK).send();
            mprotect(place, STACK_GUARD, PROT_NONE);
            all.push_back(place);
            return place + STACK_GUARD;
        }
        char *found = free_ones.back();
        free_ones.pop_back();
        return found;
    }
    void give(char *stack) { free_ones.push_back(stack); }
    bool is_guard(uintptr_t address) const {
        for (char *place : all)
            if (address - (uintptr_t)place < STACK_GUARD) return true;
        return false;
    }

  private:
    std::vector<char *> all, free_ones;
};

inline Stacks stacks;

#ifdef __x86_64__
using Context = void *;
extern "C" void simgpu_switch(void **save, void *to);
asm(R"(
    .text
    .globl simgpu_switch
    .type simgpu_switch, @function
simgpu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size simgpu_switch, .-simgpu_switch
)");
inline void make_context(Context &context, char *stack, void (*entry)()) {
    uintptr_t *top = (uintptr_t *)(stack + STACK) - 1;  // as after a call
    *top = 0;  // where the entry would return to
    *--top = (uintptr_t)entry;
    context = top - 6;
    memset(context, 0, 6 * sizeof(uintptr_t));
}
inline void switch_context(Context &from, Context &to) { simgpu_switch(&from, to); }
#else
using Context = ucontext_t;
inline void make_context(Context &context, char *stack, void (*entry)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
}
inline void switch_context(Context &from, Context &to) { swapcontext(&from, &to); }
#endif

struct Main {
    Context context{};
    void *fake = nullptr;
    const void *bottom = nullptr;
    size_t size = 0;
};
inline Main main_fibre;

class Fibre {
  public:
    void start(void (*entry)()) {
        stack = stacks.take();
        make_context(context, stack, entry);
        fake = nullptr;
    }
    void finish() { stacks.give(stack); }

    // From the scheduler into the fibre, until it leaves.
    void enter() {
#ifdef SIMGPU_SANITIZED
        __sanitizer_start_switch_fiber(&main_fibre.fake, stack, STACK);
        switch_context(main_fibre.context, context);
        __sanitizer_finish_switch_fiber(main_fibre.fake, nullptr, nullptr);
#else
        switch_context(main_fibre.context, context);
#endif
    }

    // First thing on a new fibre.
    void arrived() {
#ifdef SIMGPU_SANITIZED
        __sanitizer_finish_switch_fiber(nullptr, &main_fibre.bottom, &main_fibre.size);
#endif
    }

    // From the fibre to the scheduler; for good if it has ended.
    void leave(bool for_good) {
#ifdef SIMGPU_SANITIZED
        __sanitizer_start_switch_fiber(for_good ? nullptr : &fake, main_fibre.bottom,
                                       main_fibre.size);
        switch_context(context, main_fibre.context);
        __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
        (void)for_good;
        switch_context(context, main_fibre.context);
#endif
    }

  private:
    Context context{};
    char *stack = nullptr;
    void *fake = nullptr;
};

}  // namespace simgpu
