// expect: crashed
// class: crash
// tries: Closes every descriptor, its channel among them.
// held by: a closed channel is a crash
#include <stdint.h>
#include <unistd.h>

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    for (int descriptor = 0; descriptor < 256; descriptor++) close(descriptor);
}
