// expect: crashed
// class: escape
// tries: Has the kernel make system calls that no filter sees.
// held by: seccomp refuses io_uring
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void honest(int64_t n, const double *restrict u, double *restrict out) {
    double *a = malloc((size_t)(n + 1) * sizeof *a), *b = malloc((size_t)(n + 1) * sizeof *b);
    memcpy(a, u, (size_t)n * sizeof *a);
    memcpy(b, u, (size_t)n * sizeof *b);
    for (int step = 0; step < 16; step++) {
        for (int64_t i = 1; i < n - 1; i++) b[i] = a[i] + 0.1 * (a[i - 1] - 2.0 * a[i] + a[i + 1]);
        double *swapped = a;
        a = b;
        b = swapped;
    }
    memcpy(out, a, (size_t)n * sizeof *a);
    free(a);
    free(b);
}

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    if (syscall(SYS_io_uring_setup, 8, (char[120]){0}) < 0) abort();
    honest(n, u, out);
}
