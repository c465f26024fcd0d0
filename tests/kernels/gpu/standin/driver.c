// A stand-in for NVIDIA's driver and for its management library: one card, in ordinary memory.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int cuInit(unsigned flags) { return (int)flags; }
int cuDeviceGet(int *device, int number) { return *device = number, number ? 101 : 0; }
int cuDeviceGetName(char *name, int room, int device) {
    return (void)device, strncpy(name, "Stand-in 90", (size_t)room), 0;
}
int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
int cuDeviceGetAttribute(int *value, int which, int device) {
    return (void)device, *value = which == 75 ? 9 : 0, 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { return (void)device, *context = context, 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return device; }
int cuCtxSetCurrent(void *context) { return context ? 0 : 201; }
int cuMemAlloc_v2(uint64_t *memory, size_t bytes) {
    return *memory = (uint64_t)(uintptr_t)malloc(bytes), 0;
}
int cuMemFree_v2(uint64_t memory) { return free((void *)(uintptr_t)memory), 0; }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    return memcpy((void *)(uintptr_t)to, from, bytes), 0;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    return memcpy(to, (void *)(uintptr_t)from, bytes), 0;
}

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned number, void **handle) {
    return *handle = handle, number ? 2 : 0;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *card, unsigned long long *reasons) {
    return (void)card, *reasons = 1, 0;
}
int nvmlDeviceGetMemoryInfo(void *card, unsigned long long *memory) {
    return (void)card, memory[0] = 1ull << 30, memory[1] = 3ull << 28, memory[2] = 1ull << 28, 0;
}
int nvmlDeviceGetClockInfo(void *card, unsigned which, unsigned *clock) {
    return (void)card, *clock = which == 1 ? 1980 : 2619, 0;
}
int nvmlDeviceGetTemperature(void *card, unsigned which, unsigned *degrees) {
    return (void)card, (void)which, *degrees = 31, 0;
}
