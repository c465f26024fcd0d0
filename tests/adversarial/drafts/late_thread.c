// expect: wrong
// class: timing
// tries: Answers at once and lets a thread do the work later.
// held by: outputs are poisoned, and compared as they were at the stop
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
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

static int64_t size;
static const double *given;
static double *asked;

static void *later(void *nothing) {
    usleep(20000);
    honest(size, given, asked);
    return nothing;
}

void kernel(int64_t n, const double *restrict u, double *restrict out) {
    pthread_t thread;
    size = n, given = u, asked = out;
    pthread_create(&thread, NULL, later, NULL);
    pthread_detach(thread);
}
