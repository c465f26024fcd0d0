// expect: wrong
// class: replay
// tries: Computes once for each size and repeats the answer from static memory.
// held by: every timed output is verified
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

static double answer[100000];
static int64_t size = -1;

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    if (n != size) honest(n, u, answer);
    size = n;
    memcpy(out, answer, (size_t)n * sizeof *out);
}
