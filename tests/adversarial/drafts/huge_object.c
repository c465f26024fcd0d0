// expect: build-failed
// class: limits
// tries: Is a line of source and gigabytes of program.
// held by: limits on time, memory and files while building
#include <stdint.h>

static volatile char room[1L << 40] = {1};

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    out[0] = room[n];
}
