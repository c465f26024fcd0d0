// expect: wrong
// class: semantics
// tries: Computes in single precision.
// held by: the band comes from higher precision
#include <stdint.h>
#include <stdlib.h>

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    float *a = malloc((size_t)(n + 1) * sizeof *a), *b = malloc((size_t)(n + 1) * sizeof *b);
    for (int64_t i = 0; i < n; i++) a[i] = b[i] = (float)u[i];
    for (int step = 0; step < 16; step++) {
        for (int64_t i = 1; i < n - 1; i++) b[i] = a[i] + 0.1f * (a[i - 1] - 2.0f * a[i] + a[i + 1]);
        float *swapped = a;
        a = b;
        b = swapped;
    }
    for (int64_t i = 0; i < n; i++) out[i] = a[i];
    free(a);
    free(b);
}
