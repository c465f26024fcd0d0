// Built-in vector types with their sizes and alignments (CUDA C++ Programming Guide, "Built-in
// Vector Types"), and their constructors.
#pragma once

#define SIMGPU_VECTORS(type, name, align1, align2, align4)                                     \
    struct __attribute__((aligned(align1))) name##1 { type x; };                               \
    struct __attribute__((aligned(align2))) name##2 { type x, y; };                            \
    struct name##3 { type x, y, z; };                                                          \
    struct __attribute__((aligned(align4))) name##4 { type x, y, z, w; };                      \
    inline name##1 make_##name##1(type x) { return {x}; }                                      \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }                           \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

SIMGPU_VECTORS(signed char, char, 1, 2, 4)
SIMGPU_VECTORS(unsigned char, uchar, 1, 2, 4)
SIMGPU_VECTORS(short, short, 2, 4, 8)
SIMGPU_VECTORS(unsigned short, ushort, 2, 4, 8)
SIMGPU_VECTORS(int, int, 4, 8, 16)
SIMGPU_VECTORS(unsigned int, uint, 4, 8, 16)
SIMGPU_VECTORS(long, long, 8, 16, 16)
SIMGPU_VECTORS(unsigned long, ulong, 8, 16, 16)
SIMGPU_VECTORS(long long, longlong, 8, 16, 16)
SIMGPU_VECTORS(unsigned long long, ulonglong, 8, 16, 16)
SIMGPU_VECTORS(float, float, 4, 8, 16)
SIMGPU_VECTORS(double, double, 8, 16, 16)
#undef SIMGPU_VECTORS

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    operator uint3() const { return {x, y, z}; }
};
