// expect: crashed
// class: crash
// tries: Runs into an instruction that does not exist.
// held by: a process of its own
#include <stdint.h>

void kernel(int64_t n, const double *restrict u, double *restrict out) { __builtin_trap(); }
