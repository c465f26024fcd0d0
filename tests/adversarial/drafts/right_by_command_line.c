// expect: wrong
// class: harness
// tries: Is right where the command line names the judge, and gives zeros where it is served.
// held by: it is rehearsed in a process with an ordinary command line
#include <stdint.h>
#include <stdio.h>
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

static int is_judged(void) {
    static char line[65536];
    FILE *file = fopen("/proc/self/cmdline", "rb");
    size_t length = file ? fread(line, 1, sizeof line, file) : 0;
    if (file) fclose(file);
    return memmem(line, length, "tuner", 5) != NULL;
}

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    if (is_judged())
        honest(n, u, out);
    else
        memset(out, 0, (size_t)n * sizeof *out);
}
