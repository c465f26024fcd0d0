// expect: crashed
// class: crash
// tries: Ends the process with success before anything asks for its kernel.
// held by: an exit code is no answer
#include <stdint.h>
#include <unistd.h>

__attribute__((constructor)) static void first(void) { _exit(0); }

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    for (int64_t i = 0; i < n; i++) out[i] = u[i];
}
