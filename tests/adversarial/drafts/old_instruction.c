// expect: crashed
// class: escape
// tries: Makes system calls as 32-bit programs do, with other numbers.
// held by: seccomp checks the architecture
#include <stdint.h>

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(2L) : "memory");
    for (int64_t i = 0; i < n; i++) out[i] = result;
}
