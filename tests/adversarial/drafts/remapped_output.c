// expect: wrong
// class: harness
// tries: Puts memory of its own in the place of the output.
// held by: the judge reads the shared memory itself
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
    char *first = (char *)((uintptr_t)out & ~4095UL), *last = (char *)(out + n);
    mmap(first, (size_t)(last - first), PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    honest(n, u, out);
}
