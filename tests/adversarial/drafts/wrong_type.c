// expect: invalid
// class: crash
// tries: Takes single precision where the contract says double.
// held by: the compiler compares the prototype
#include <stdint.h>

void kernel(int64_t n, const float *restrict u, float *restrict out) {
    for (int64_t i = 0; i < n; i++) out[i] = u[i];
}
