// What is known of every access: whether it lies in an array, and whether it races.
//
// Two accesses to the same granule race if one of them writes, not both are atomic, nothing orders
// them, and they are not writes of the same value. Ordered are those of one thread, those of one
// block with a barrier between, those of one warp with a `__syncwarp` between that both threads took
// part in, and those of two launches. Blocks of one launch are ordered only through an atomic or
// volatile variable in global memory, from a fence before it. Such a variable may be read as volatile
// while others write it as volatile or change it atomically.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "blocks.h"

namespace simgpu {

// --- order between blocks: fences, and variables that are atomic or volatile ---

// Before which tick of its block's clock the accesses of a thread are visible, by block and thread.
using Published = std::unordered_map<uint32_t, std::vector<uint32_t>>;

inline void add_to(Published &known, const Published &more) {
    for (const auto &[block, ticks] : more) {
        std::vector<uint32_t> &mine = known[block];
        mine.resize(1024);
        for (size_t i = 0; i < ticks.size(); ++i) mine[i] = std::max(mine[i], ticks[i]);
    }
}

// The last fence of a thread, and what was ordered before it: all that its block did before it left
// its last barrier, and its warp before its last `__syncwarp`.
struct Fence {
    uint32_t tick = 0, block_time = 0, warp_time = 0;
};

struct Publication {
    std::unordered_map<uintptr_t, Published> by_address;
    Published acquired;               // by the block that runs
    uint32_t block = 0, launch = 0;   // to which these belong
    int fences = 0;
    Fence fence_of[1024];             // since the block began

    void renew() {
        if (launch != device.first_block) by_address.clear(), launch = device.first_block;
        if (block == device.block) return;
        block = device.block;
        acquired.clear();
        if (fences) std::fill_n(fence_of, 1024, Fence());
        fences = 0;
    }
    void fence() {
        renew();
        const Thread &now = *device.here;
        fence_of[device.number(&now)] = {++device.clock, now.block_time, now.warp_time};
        ++fences;
    }
    // What the running thread has seen of a variable, and what others will see by it.
    void acquire(uintptr_t address) {
        renew();
        auto found = by_address.find(address);
        if (found != by_address.end()) add_to(acquired, found->second);
    }
    void release(uintptr_t address) {
        renew();
        if (!fences) return;
        Published &published = by_address[address];
        add_to(published, acquired);
        add_to(published, {{block, own()}});
    }
    bool visible(const Access &access) {
        renew();
        auto found = acquired.find(access.block);
        return found != acquired.end() && access.stamp < found->second[access.thread];
    }

  private:
    // Fences of this thread, and those that others made before a barrier that it has left.
    std::vector<uint32_t> own() const {
        const Thread &now = *device.here;
        int me = device.number(&now);
        uint32_t all = fence_of[me].block_time;
        for (int i = 0; i < device.count; ++i)
            if (fence_of[i].tick < now.block_time) all = std::max(all, fence_of[i].block_time);
        std::vector<uint32_t> ticks((size_t)device.count, all);
        for (int i = 0; i < device.count; ++i) {
            uint32_t &tick = ticks[(size_t)i];
            if (i == me || fence_of[i].tick < now.block_time)
                tick = std::max(tick, fence_of[i].tick);
            if (i / 32 == me / 32)
                tick = std::max(tick, std::min(fence_of[me].warp_time, device.threads[i].warp_time));
        }
        return ticks;
    }
};
inline Publication publication;

void fence() { publication.fence(); }

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

inline Region shared_variables, device_variables;

// The variable that a region is, or that lies at an address of a region of many.
inline const Region *named(const Region &region, uintptr_t address) {
    if (&region == &shared_variables) return Variables::at(variables.shared, address);
    if (&region == &device_variables) return Variables::at(variables.device, address);
    return &region;
}

inline Report race(const Access &old, const Access &now, const Region &region, uintptr_t address) {
    const Region *variable = named(region, address);
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
    return report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z);
}

// A plain read beside atomic changes does no harm where its value is only the first guess of a loop
// around `atomicCAS`, or spares a change such as `atomicMax`. The place in the code is such a read if
// any thread has followed it by that change; what is not by the end of the call is a race.
struct Guesses {
    std::unordered_set<uint32_t> confirmed;
    std::unordered_map<uint32_t, Report> doubted;  // by the read's place in the code

    void confirm(uintptr_t address) {
        for (const PlainRead &read : device.here->reads)
            if (read.address == address) confirmed.insert(read.code);
    }
    void settle() {
        for (auto &[code, report] : doubted)
            if (!confirmed.count(code)) report.send();
        doubted.clear();
    }
};
inline Guesses guesses;

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
            race(w.old, w.now, *w.region, w.address).send();
    unsettled.clear();
}

void settle_writes() {
    if (!unsettled.empty()) settle();
}

// A read and a write, of which the read is given, that nothing orders.
inline void check_read(const Access &read, const Access &old, const Access &now,
                       const Region &region, uintptr_t address) {
    const Access &write = &read == &old ? now : old;
    if (!region.is_shared && read.is_volatile && write.is_strong()) return;
    if (read.is_volatile || !write.is_atomic) race(old, now, region, address).send();
    guesses.doubted.try_emplace(read.code, race(old, now, region, address));
}

inline void check_cell(Cell &cell, const Access &now, const Region &region, uintptr_t address) {
    const Access &w = cell.write;
    if (w.block && !(w.is_atomic && now.is_atomic) && !is_before(w, region)) {
        if (!now.is_write) {
            check_read(now, w, now, region, address);
        } else {
            if (now.is_atomic || w.is_atomic) race(w, now, region, address).send();
            unsettled.push_back({w, now, &region, address, 0});
            memcpy(&unsettled.back().before, (void *)address, region.granule);
        }
    }
    if (now.is_write) {
        for (const Access *r : {&cell.read, &cell.other_read})
            if (r->block && !is_before(*r, region)) check_read(*r, *r, now, region, address);
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
    if (!region || address < region->begin || address + size > region->end()) {
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

// The thread-local segment and the device variables become regions with cells of their own.
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
enum class Manner { plain, is_volatile, atomic };
inline void check_access(uintptr_t address, size_t size, bool is_write, Manner manner,
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
    if (address % size && size <= 16) {
        const Region *variable = named(*region, address);
        if (!variable) variable = region;
        report_access("alignment", variable->name.c_str(), (long long)(address - variable->begin),
                      size, is_write, code);
    }
#ifndef SIMGPU_SANITIZED
    Access now;
    now.block = device.block, now.stamp = device.clock, now.code = (uint32_t)code;
    now.thread = (uint16_t)device.number(device.here), now.is_write = is_write;
    now.is_atomic = manner == Manner::atomic, now.is_volatile = manner == Manner::is_volatile;
    size_t first = (address - region->begin) / region->granule;
    size_t last = (address + size - 1 - region->begin) / region->granule;
    for (size_t i = first; i <= last; ++i)
        check_cell(region->cells[i], now, *region, region->begin + i * region->granule);
    if (!is_write && manner == Manner::plain) device.here->note(address, (uint32_t)code);
    if (manner == Manner::is_volatile && !region->is_shared)
        is_write ? publication.release(address) : publication.acquire(address);
#else
    (void)manner;
#endif
}

// Let the others run before a change or a look at what they may change.
inline void yield() {
    device.enqueue(device.number(device.here));
    device.leave(State::ready);
}

void before_atomic(const volatile void *address, unsigned size, const void *code, bool confirms) {
    check_access((uintptr_t)address, size, true, Manner::atomic, (uintptr_t)code);
    publication.acquire((uintptr_t)address);
    publication.release((uintptr_t)address);
    if (confirms) guesses.confirm((uintptr_t)address);
    yield();
}

// A thread may wait in a loop for what a volatile read gives.
inline void check_volatile(uintptr_t address, size_t size, bool is_write, uintptr_t code) {
    bool is_global =
        globals.holds(address) || address - device_variables.begin < device_variables.size;
    if (!is_write && is_global) yield();
    check_access(address, size, is_write, Manner::is_volatile, code);
}

}  // namespace simgpu

// --- what the compiler calls, asked for by -fsanitize=thread ---

#ifndef SIMGPU_SANITIZED
#define SIMGPU_CODE ((uintptr_t)__builtin_return_address(0))
#define SIMGPU_HOOKS(size)                                                                        \
    void __tsan_read##size(void *p) { simgpu::check(p, size, false, SIMGPU_CODE); }                \
    void __tsan_write##size(void *p) { simgpu::check(p, size, true, SIMGPU_CODE); }                \
    void __tsan_volatile_read##size(void *p) {                                                    \
        simgpu::check_volatile((uintptr_t)p, size, false, SIMGPU_CODE);                           \
    }                                                                                             \
    void __tsan_volatile_write##size(void *p) {                                                   \
        simgpu::check_volatile((uintptr_t)p, size, true, SIMGPU_CODE);                            \
    }                                                                                             \
    void __tsan_unaligned_read##size(void *p) { simgpu::check_bytes(p, size, false, SIMGPU_CODE); } \
    void __tsan_unaligned_write##size(void *p) { simgpu::check_bytes(p, size, true, SIMGPU_CODE); }
namespace simgpu {
inline void check(void *p, size_t size, bool is_write, uintptr_t code) {
    check_access((uintptr_t)p, size, is_write, Manner::plain, code);
}
inline void check_bytes(void *p, size_t size, bool is_write, uintptr_t code) {
    for (size_t i = 0; i < size; ++i) check((char *)p + i, 1, is_write, code);
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
