// expect: wrong
// class: harness
// tries: Right in a process that begins with small cases, made for one size in one that begins with it.
// held by: drawn cases are tried in the midst of the timing
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

static int64_t first = -1;

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    if (first < 0) first = n;
    honest(n, u, out);
    if (first > 1000 && n < 1000) memset(out, 0, (size_t)n * sizeof *out);
}
