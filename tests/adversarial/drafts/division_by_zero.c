// expect: crashed
// class: crash
// tries: Divides an integer by zero.
// held by: a process of its own
#include <stdint.h>

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    volatile int64_t zero = 0;
    out[0] = (double)(n / zero);
}
