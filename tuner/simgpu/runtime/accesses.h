// What is known of every access: whether it lies in an array, and whether it races.
//
// Two accesses to the same granule race if one of them writes, not both are atomic, nothing orders
// them, and they are not writes of the same value. Ordered are those of one thread, those of one block with a barrier between, those of
// one warp with a `__syncwarp` between that both threads took part in, and those of two launches.
// Blocks of one launch are ordered only through an atomic variable, from a fence before it.
#pragma once

#include <unordered_map>

#include "blocks.h"

namespace simgpu {

// --- order between blocks: fences and atomics ---

// What an atomic variable has published: up to which tick of its clock each block is visible.
using Published = std::unordered_map<uint32_t, uint32_t>;

struct Publication {
    std::unordered_map<uintptr_t, Published> by_address;
    Published acquired;               // by the block that runs
    uint32_t block = 0, launch = 0;   // to which these belong
    bool fenced[1024] = {};           // threads that have fenced since the block began

    void renew() {
        if (launch != device.first_block) by_address.clear(), launch = device.first_block;
        if (block == device.block) return;
        block = device.block;
        acquired.clear();
        memset(fenced, 0, sizeof fenced);
    }
    void atomic(uintptr_t address) {
        renew();
        bool releases = fenced[device.number(device.here)];
        if (!releases && by_address.empty()) return;
        Published &published = by_address[address];
        for (auto [b, clock] : published) {
            uint32_t &known = acquired[b];
            known = std::max(known, clock);
        }
        if (!releases) return;
        for (auto [b, clock] : acquired) published[b] = std::max(published[b], clock);
        published[block] = device.clock;
    }
    bool visible(const Access &access) {
        renew();
        auto found = acquired.find(access.block);
        return found != acquired.end() && access.stamp <= found->second;
    }
};
inline Publication publication;

void fence() {
    publication.renew();
    publication.fenced[device.number(device.here)] = true;
}

// --- races ---

inline bool is_before(const Access &old, const Region &region) {
    if (old.block != device.block)
        return region.is_shared || old.block < device.first_block || publication.visible(old);
    const Thread &now = *device.here;
    int number = device.number(&now);
    if (old.thread == number || old.stamp < now.block_time) return true;
    return old.thread / 32 == number / 32 && old.stamp < now.warp_time &&
           old.stamp < device.threads[old.thread].warp_time;
}

[[noreturn]] inline void report_race(const Access &old, const Access &now, const Region &region,
                                     uintptr_t address) {
    const Region *variable =
        region.is_shared && region.begin == variables.shared_begin
            ? Variables::at(variables.shared, address)
            : &region;
    Report report("race");
    report.field("memory", variable ? variable->name.c_str() : "shared memory");
    report.field("offset", (long long)(address - (variable ? variable->begin : region.begin)));
    report.field("shared", region.is_shared);
    const Thread &t = device.threads[old.thread];
    report.field("first", old.is_atomic ? "atomic" : old.is_write ? "write" : "read");
    report.field("first_code", (long long)old.code);
    if (old.block == device.block) {
        report.triple("first_thread", t.index.x, t.index.y, t.index.z);
    }
    report.field("second", now.is_atomic ? "atomic" : now.is_write ? "write" : "read");
    report.field("second_code", (long long)now.code);
    report.triple("thread", threadIdx.x, threadIdx.y, threadIdx.z);
    report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z).send();
}

// Two unordered writes of the same value do no harm, such as those that raise a flag. The value is
// known only after the write, so that they are looked at before anything else happens.
struct TwoWrites {
    Access old, now;
    const Region *region;
    uintptr_t address;
    uint64_t before;  // what the first has left
};
inline std::vector<TwoWrites> unsettled;

inline void settle() {
    for (const TwoWrites &w : unsettled)
        if (memcmp((void *)w.address, &w.before, w.region->granule) != 0)
            report_race(w.old, w.now, *w.region, w.address);
    unsettled.clear();
}

void settle_writes() {
    if (!unsettled.empty()) settle();
}

inline void check_cell(Cell &cell, const Access &now, const Region &region, uintptr_t address) {
    const Access &w = cell.write;
    if (w.block && !(w.is_atomic && now.is_atomic) && !is_before(w, region)) {
        if (!now.is_write || now.is_atomic || w.is_atomic) report_race(w, now, region, address);
        unsettled.push_back({w, now, &region, address, 0});
        memcpy(&unsettled.back().before, (void *)address, region.granule);
    }
    if (now.is_write) {
        for (const Access *r : {&cell.read, &cell.other_read})
            if (r->block && !is_before(*r, region)) report_race(*r, now, region, address);
        cell.write = now;
        cell.read = cell.other_read = Access();
        return;
    }
    // Two readers are kept, of different warps if there are any: a writer is neither of them.
    if (!cell.read.block || cell.read.thread == now.thread || is_before(cell.read, region)) {
        cell.read = now;
    } else if (!cell.other_read.block || cell.other_read.thread == now.thread ||
               is_before(cell.other_read, region) ||
               (cell.other_read.block == cell.read.block &&
                (now.block != cell.read.block ||
                 cell.other_read.thread / 32 == cell.read.thread / 32))) {
        cell.other_read = now;
    }
}

// --- bounds ---

[[noreturn]] inline void report_access(const char *kind, const char *memory, long long offset,
                                       size_t size, bool is_write, uintptr_t code) {
    Report report(kind);
    report.field("memory", memory).field("offset", offset).field("bytes", (long long)size);
    report.field("second", is_write ? "write" : "read").field("second_code", (long long)code);
    if (device.here) {
        report.triple("thread", threadIdx.x, threadIdx.y, threadIdx.z);
        report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z);
    }
    report.send();
}

inline Region *region_of(uintptr_t address, size_t size, bool is_write, uintptr_t code) {
    Region *region = globals.at(address);
    if (!region || address + size > region->end()) {
        if (!region) region = globals.nearest(address);
        if (!region) report_access("bounds", "", 0, size, is_write, code);
        report_access("bounds", region->name.c_str(), (long long)(address - region->begin), size,
                      is_write, code);
    }
    if (is_write && region->is_read_only)
        report_access("read-only", region->name.c_str(), (long long)(address - region->begin), size,
                      is_write, code);
    return region;
}

// The thread-local segment and the device variables as regions with cells of their own.
inline Region shared_variables, device_variables;
inline void prepare_variables() {
    static Cells cells;
    variables.find();
    shared_variables.begin = variables.shared_begin;
    shared_variables.size = variables.shared_end - variables.shared_begin;
    shared_variables.is_shared = true;
    device_variables.name = "a device variable";
    device_variables.begin = variables.device_begin;
    device_variables.size = variables.device_end - variables.device_begin;
    device.dynamic.name = "dynamic shared memory";
    device.dynamic.is_shared = true;
    device.dynamic.begin = (uintptr_t)dynamic_shared();
    cells.reserve(shared_variables.size + device_variables.size + DYNAMIC_ROOM + 3);
    shared_variables.cells = cells.take(shared_variables.size + 1);
    device_variables.cells = cells.take(device_variables.size + 1);
    device.dynamic.cells = cells.take(DYNAMIC_ROOM + 1);
}

// Every access of a draft to memory.
inline void check_access(uintptr_t address, size_t size, bool is_write, bool is_atomic,
                         uintptr_t code) {
    settle_writes();
    Region *region;
    if (globals.holds(address)) {
        region = region_of(address, size, is_write, code);
    } else if (address - shared_variables.begin < shared_variables.size) {
        region = &shared_variables;
        if (!variables.covers(address, size))
            report_access("bounds", "", 0, size, is_write, code);
    } else if (address - device.dynamic.begin + GUARD < DYNAMIC_ROOM + 2 * GUARD) {
        region = &device.dynamic;
        if (address < region->begin || address + size > region->end())
            report_access("bounds", region->name.c_str(), (long long)(address - region->begin),
                          size, is_write, code);
    } else if (address - device_variables.begin < device_variables.size) {
        region = &device_variables;
    } else {
        return;  // the stack, constants
    }
    if (address % size && size <= 16)
        report_access("alignment", region->name.c_str(), (long long)(address - region->begin), size,
                      is_write, code);
#ifndef SIMGPU_SANITIZED
    const Access now{device.block, device.clock, (uint32_t)code,
                     (uint16_t)device.number(device.here), is_write, is_atomic};
    size_t first = (address - region->begin) / region->granule;
    size_t last = (address + size - 1 - region->begin) / region->granule;
    for (size_t i = first; i <= last; ++i)
        check_cell(region->cells[i], now, *region, region->begin + i * region->granule);
#else
    (void)is_atomic;
#endif
}

void before_atomic(const volatile void *address, unsigned size, const void *code) {
    check_access((uintptr_t)address, size, true, true, (uintptr_t)code);
    publication.atomic((uintptr_t)address);
    device.enqueue(device.number(device.here));
    device.leave(State::ready);
}

}  // namespace simgpu

// --- what the compiler calls, asked for by -fsanitize=thread ---

#ifndef SIMGPU_SANITIZED
#define SIMGPU_CODE ((uintptr_t)__builtin_return_address(0))
#define SIMGPU_HOOKS(size)                                                       \
    void __tsan_read##size(void *p) {                                            \
        simgpu::check_access((uintptr_t)p, size, false, false, SIMGPU_CODE);     \
    }                                                                            \
    void __tsan_write##size(void *p) {                                           \
        simgpu::check_access((uintptr_t)p, size, true, false, SIMGPU_CODE);      \
    }                                                                            \
    void __tsan_volatile_read##size(void *p) {                                   \
        simgpu::check_access((uintptr_t)p, size, false, false, SIMGPU_CODE);     \
    }                                                                            \
    void __tsan_volatile_write##size(void *p) {                                  \
        simgpu::check_access((uintptr_t)p, size, true, false, SIMGPU_CODE);      \
    }                                                                            \
    void __tsan_unaligned_read##size(void *p) { simgpu::check_bytes(p, size, false, SIMGPU_CODE); } \
    void __tsan_unaligned_write##size(void *p) { simgpu::check_bytes(p, size, true, SIMGPU_CODE); }
namespace simgpu {
inline void check_bytes(void *p, size_t size, bool is_write, uintptr_t code) {
    for (size_t i = 0; i < size; ++i) check_access((uintptr_t)p + i, 1, is_write, false, code);
}
}  // namespace simgpu
extern "C" {
SIMGPU_HOOKS(1)
SIMGPU_HOOKS(2)
SIMGPU_HOOKS(4)
SIMGPU_HOOKS(8)
SIMGPU_HOOKS(16)
void __tsan_read_range(void *p, size_t size) { simgpu::check_bytes(p, size, false, SIMGPU_CODE); }
void __tsan_write_range(void *p, size_t size) { simgpu::check_bytes(p, size, true, SIMGPU_CODE); }
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void **) {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_init() {}
}
#endif
