// expect: crashed
// class: escape
// tries: Opens a connection by an instruction.
// held by: seccomp sees instructions too
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static long raw(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

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
    if (raw(41, 2, 1, 0) < 0) abort();
    honest(n, u, out);
}
