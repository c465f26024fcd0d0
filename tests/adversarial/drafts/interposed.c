// expect: wrong
// class: harness
// tries: Defines functions of the C library, so that its own would be called by others.
// held by: the channel and the clock are in the judge
#include <stdint.h>
#include <time.h>
#include <unistd.h>

ssize_t read(int descriptor, void *buffer, size_t count) { return -1; }
ssize_t write(int descriptor, const void *buffer, size_t count) { return (ssize_t)count; }
int clock_gettime(clockid_t clock, struct timespec *now) { return now->tv_sec = 0; }

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    for (int64_t i = 0; i < n; i++) out[i] = u[i];
}
