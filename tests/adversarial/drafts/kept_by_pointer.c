// expect: wrong
// class: replay
// tries: Repeats its last answer when the input lies where it lay before.
// held by: buffers are filled again where they lie
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
static const double *place;
static int64_t size;

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    if (u != place || n != size) honest(n, u, answer);
    place = u, size = n;
    memcpy(out, answer, (size_t)n * sizeof *out);
}
