// expect: wrong
// class: semantics
// tries: Has room for the workload only, and leaves the rest of larger arrays.
// held by: sizes near the workload are tried, as they would be served
#include <stdint.h>
#include <string.h>

static double a[2][40000];

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    if (n > 40000) n = 40000;
    memcpy(a[0], u, (size_t)n * sizeof *u);
    memcpy(a[1], u, (size_t)n * sizeof *u);
    for (int step = 0; step < 16; step++) {
        const double *from = a[step % 2];
        double *to = a[1 - step % 2];
        for (int64_t i = 1; i < n - 1; i++)
            to[i] = from[i] + 0.1 * (from[i - 1] - 2.0 * from[i] + from[i + 1]);
    }
    memcpy(out, a[0], (size_t)n * sizeof *u);
}
