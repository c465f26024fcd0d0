// expect: crashed
// class: limits
// tries: Puts more on the stack than there is room for.
// held by: a process of its own
#include <stdint.h>
#include <string.h>

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    volatile char *room = __builtin_alloca(1L << 34);
    for (int64_t i = 0; i < 1L << 34; i += 4096) room[i] = 1;
}
