// expect: crashed
// class: crash
// tries: Ends the process with success.
// held by: an exit code is no answer
#include <stdint.h>
#include <unistd.h>

void kernel(int64_t n, const double *restrict u, double *restrict out) { _exit(0); }
