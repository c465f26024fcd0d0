// Complex numbers as vectors, after the toolkit's header of this name.
#pragma once

typedef float2 cuFloatComplex;
typedef double2 cuDoubleComplex;
typedef cuFloatComplex cuComplex;

#define SIMGPU_COMPLEX(complex, real, suffix, wide)                                              \
    inline complex make_cu##wide##Complex(real x, real y) { return {x, y}; }                     \
    inline real cuCreal##suffix(complex a) { return a.x; }                                       \
    inline real cuCimag##suffix(complex a) { return a.y; }                                       \
    inline complex cuConj##suffix(complex a) { return {a.x, -a.y}; }                             \
    inline complex cuCadd##suffix(complex a, complex b) { return {a.x + b.x, a.y + b.y}; }       \
    inline complex cuCsub##suffix(complex a, complex b) { return {a.x - b.x, a.y - b.y}; }       \
    inline complex cuCmul##suffix(complex a, complex b) {                                        \
        return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};                                   \
    }                                                                                            \
    inline complex cuCfma##suffix(complex a, complex b, complex c) {                             \
        return cuCadd##suffix(cuCmul##suffix(a, b), c);                                          \
    }                                                                                            \
    inline real cuCabs##suffix(complex a) { return std::hypot(a.x, a.y); }                       \
    inline complex cuCdiv##suffix(complex a, complex b) {                                        \
        real scale = 1 / (std::fabs(b.x) + std::fabs(b.y));                                      \
        a = {a.x * scale, a.y * scale}, b = {b.x * scale, b.y * scale};                          \
        real inverse = 1 / (b.x * b.x + b.y * b.y);                                              \
        return {(a.x * b.x + a.y * b.y) * inverse, (a.y * b.x - a.x * b.y) * inverse};           \
    }
SIMGPU_COMPLEX(cuFloatComplex, float, f, Float)
SIMGPU_COMPLEX(cuDoubleComplex, double, , Double)
#undef SIMGPU_COMPLEX
inline cuComplex make_cuComplex(float x, float y) { return {x, y}; }
