// The threads of a block: fibres that take turns in a random order and wait at barriers and warp
// operations. Blocks run one after another, in a random order too.
#pragma once

#include <vector>

#include "../device/simgpu_interface.h"
#include <algorithm>

#include "fibre.h"
#include "kernels.h"
#include "memory.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace simgpu {

// Small and fast; the judge gives the seed.
struct Random {
    uint64_t state = 1;
    uint32_t next() {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return (uint32_t)(state >> 32);
    }
    uint32_t below(uint32_t n) { return (uint32_t)(((uint64_t)next() * n) >> 32); }
};

enum class State : uint8_t { fresh, ready, at_barrier, at_warp, ended };

struct PlainRead {
    uintptr_t address = 0;
    uint32_t code = 0;
};

struct Thread {
    Fibre fibre;
    State state = State::fresh;
    uint3 index{};
    // Of the block's clock: when it last left a barrier, and a barrier or `__syncwarp`.
    uint32_t block_time = 0, warp_time = 0;
    // What it waits in.
    int line = 0, place = 0, predicate = 0, source = 0, combined = 0;
    Combine combine = Combine::none;
    WarpOp op = WarpOp::sync;
    bool is_signed = false;
    unsigned mask = 0;
    uint64_t value = 0, result = 0;
    // Its last plain reads of memory that others may change.
    PlainRead reads[4];
    unsigned next_read = 0;
    void note(uintptr_t address, uint32_t code) { reads[next_read++ & 3] = {address, code}; }
};

// Everything about the launch and the block that runs.
struct Device {
    Random random;
    uint64_t seed = 0;
    const Kernel *kernel = nullptr;
    const Argument *arguments = nullptr;
    Region dynamic;           // dynamic shared memory of the launch
    uint32_t block = 0;       // blocks since the start of the process
    uint32_t first_block = 1; // of this launch
    uint32_t clock = 0;       // of the block; ticks at every barrier
    Thread threads[1024];
    int count = 0, ended = 0, waiting = 0;
    Thread *here = nullptr;
    std::vector<uint16_t> ready;  // a ring
    uint32_t head = 0, tail = 0;

    int number(const Thread *t) const { return (int)(t - threads); }
    void enqueue(int number) { ready[tail++ & 1023] = (uint16_t)number; }
    void run_block(uint3 index);
    void leave(State state);

  private:
    void poison();
    void start_threads();
    void shuffle(uint16_t *numbers, int n);
    [[noreturn]] void stuck();
    static void thread_main();
};

inline Device device;

// --- running a block ---

inline unsigned char poison_byte(uint64_t seed) {
    static const unsigned char bytes[] = {0xff, 0x7f, 0xfe};  // NaN, huge, negative and huge
    return bytes[seed % 3];
}

inline void Device::poison() {
    unsigned char byte = poison_byte(seed);
    memset((void *)variables.shared_begin, byte, variables.shared_end - variables.shared_begin);
    memset((void *)dynamic.begin, byte, dynamic.size);
}

inline void Device::shuffle(uint16_t *numbers, int n) {
    for (int i = 0; i < n; ++i) numbers[i] = (uint16_t)i;
    if (seed % 8 == 0) return;  // the order that a GPU most often has
    for (int i = n - 1; i > 0; --i) std::swap(numbers[i], numbers[random.below((uint32_t)i + 1)]);
}

inline void Device::start_threads() {
    head = tail = 0, ended = waiting = 0, clock = 1;
    ready.resize(1024);
    uint16_t order[1024];
    shuffle(order, count);
    for (int i = 0; i < count; ++i) {
        Thread &t = threads[i];
        t.state = State::fresh;
        t.block_time = t.warp_time = 0;
        std::fill_n(t.reads, 4, PlainRead());
        enqueue(order[i]);
    }
}

inline void Device::run_block(uint3 index) {
    blockIdx = index;
    ++block;
    poison();
    start_threads();
    while (ended < count) {
        if (head == tail) stuck();
        Thread &t = threads[ready[head++ & 1023]];
        if (t.state == State::fresh) t.fibre.start(thread_main);
        t.state = State::ready;
        here = &t;
        threadIdx = t.index;
        t.fibre.enter();
        if (t.state == State::ended) t.fibre.finish();
    }
}

void settle_writes();

inline void Device::leave(State state) {
    settle_writes();
    here->state = state;
    here->fibre.leave(state == State::ended);
}

void check_warp(int warp);
void check_barrier();

inline void Device::thread_main() {
    device.here->fibre.arrived();
    device.kernel->call(device.arguments);
    Thread *t = device.here;
    ++device.ended;
    t->state = State::ended;
    check_warp(device.number(t) / 32);
    device.leave(State::ended);
    __builtin_unreachable();
}

// --- barriers ---

// Release the block when all of its threads wait at the same barrier.
inline void check_barrier() {
    if (device.waiting < device.count) return;
    const Thread &first = device.threads[0];
    int sum = 0;
    for (int i = 0; i < device.count; ++i) {
        const Thread &t = device.threads[i];
        if (t.line != first.line || t.place != first.place || t.combine != first.combine)
            return;  // found out as stuck
        sum += t.predicate != 0;
    }
    int combined = first.combine == Combine::count ? sum
                   : first.combine == Combine::all ? sum == device.count
                                                   : sum > 0;
    device.waiting = 0;
    ++device.clock;
    uint16_t order[1024];
    for (int i = 0; i < device.count; ++i) order[i] = (uint16_t)i;
    if (device.seed % 8)
        for (int i = device.count - 1; i > 0; --i)
            std::swap(order[i], order[device.random.below((uint32_t)i + 1)]);
    for (int i = 0; i < device.count; ++i) {
        Thread &t = device.threads[i];
        t.combined = combined;
        t.block_time = t.warp_time = device.clock;
        t.state = State::ready;
        device.enqueue(order[i]);
    }
}

int block_barrier(Combine combine, int predicate, int line, int place) {
    Thread *t = device.here;
    t->combine = combine, t->predicate = predicate, t->line = line, t->place = place;
    t->state = State::at_barrier;
    ++device.waiting;
    check_barrier();
    device.leave(t->state);
    return t->combined;
}

// --- warp operations ---

inline const char *name_of(WarpOp op) {
    switch (op) {
        case WarpOp::sync: return "__syncwarp";
        case WarpOp::shuffle: return "a shuffle";
        case WarpOp::ballot: return "__ballot_sync";
        case WarpOp::any: return "__any_sync";
        case WarpOp::all: return "__all_sync";
        case WarpOp::match_any: return "__match_any_sync";
        case WarpOp::match_all: return "__match_all_sync";
        default: return "a warp reduction";
    }
}

[[noreturn]] inline void report_lane(const char *kind, const Thread &t, int lane) {
    Report report(kind);
    report.field("operation", name_of(t.op)).field("line", t.line).field("lane", lane);
    report.triple("thread", t.index.x, t.index.y, t.index.z);
    report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z).send();
}

// A value that is nobody's; a draft may take it and not use it. The first is kept for the judge.
struct UndefinedLane {
    int line = 0, lane = 0;
    uint3 thread{}, block{};
};
inline UndefinedLane undefined_value;
inline uint64_t undefined_lane(const Thread &t) {
    if (!undefined_value.line) undefined_value = {t.line, t.source, t.index, blockIdx};
    return poison_byte(device.seed) * 0x0101010101010101u;
}

inline uint64_t reduced(const Thread &t, uint64_t a, uint64_t b) {
    bool less = t.is_signed ? (int64_t)a < (int64_t)b : a < b;
    switch (t.op) {
        case WarpOp::add: return a + b;
        case WarpOp::minimum: return less ? a : b;
        case WarpOp::maximum: return less ? b : a;
        case WarpOp::bit_and: return a & b;
        case WarpOp::bit_or: return a | b;
        default: return a ^ b;
    }
}

// What a lane gets, of the lanes that take part with it.
inline uint64_t outcome(const Thread &t, Thread *lanes, unsigned part) {
    unsigned equal = 0, set = 0;
    uint64_t total = 0;
    bool is_first = true;
    for (int i = 0; i < 32; ++i) {
        if (!(part >> i & 1)) continue;
        equal |= (unsigned)(lanes[i].value == t.value) << i;
        set |= (unsigned)(lanes[i].value != 0) << i;
        total = is_first ? lanes[i].value : reduced(t, total, lanes[i].value);
        is_first = false;
    }
    switch (t.op) {
        case WarpOp::sync: return 0;
        case WarpOp::shuffle:
            return part >> t.source & 1 ? lanes[t.source].value : undefined_lane(t);
        case WarpOp::ballot: return set;
        case WarpOp::any: return set != 0;
        case WarpOp::all: return set == part;
        case WarpOp::match_any: return equal;
        case WarpOp::match_all: return equal == part ? part : 0;
        default: return total;
    }
}

// Let lanes go on whose partners have all arrived; lanes that have ended are not waited for.
inline void check_warp(int warp) {
    Thread *lanes = device.threads + 32 * warp;
    int there = std::min(32, device.count - 32 * warp);
    unsigned done = 0;
    for (int i = 0; i < there; ++i) {
        Thread &t = lanes[i];
        if (t.state != State::at_warp || done >> i & 1) continue;
        unsigned part = 0;
        bool complete = true;
        for (int j = 0; j < there && complete; ++j) {
            if (!(t.mask >> j & 1) || lanes[j].state == State::ended) continue;
            complete = lanes[j].state == State::at_warp && lanes[j].op == t.op &&
                       lanes[j].mask == t.mask;
            part |= 1u << j;
        }
        if (!complete) continue;
        for (int j = 0; j < there; ++j)
            if (part >> j & 1) lanes[j].result = outcome(lanes[j], lanes, part);
        if (t.op == WarpOp::sync) ++device.clock;
        for (int j = 0; j < there; ++j) {
            if (!(part >> j & 1)) continue;
            if (t.op == WarpOp::sync) lanes[j].warp_time = device.clock;
            lanes[j].state = State::ready;
            device.enqueue(32 * warp + j);
        }
        done |= part;
    }
}

uint64_t warp_operation(WarpOp op, unsigned mask, uint64_t value, int source, int line,
                        bool is_signed) {
    Thread *t = device.here;
    int number = device.number(t);
    t->op = op, t->mask = mask, t->value = value, t->source = source, t->line = line;
    t->is_signed = is_signed;
    if (!(mask >> (number % 32) & 1)) report_lane("own-lane", *t, number % 32);
    if (source < 0 || source > 31) report_lane("shuffle", *t, source);
    t->state = State::at_warp;
    check_warp(number / 32);
    device.leave(t->state);
    return t->result;
}

// --- threads that wait for each other for ever ---

inline void Device::stuck() {
    const Thread *waits = nullptr, *other = nullptr;
    for (int i = 0; i < count; ++i) {
        const Thread &t = threads[i];
        if (t.state == State::at_warp) waits = &t;
    }
    if (waits) {
        int first = number(waits) / 32 * 32;
        for (int j = 0; j < 32 && first + j < count; ++j) {
            const Thread &t = threads[first + j];
            if ((waits->mask >> j & 1) && t.state != State::ended &&
                (t.state != State::at_warp || t.op != waits->op || t.mask != waits->mask))
                report_lane("lanes", *waits, j);
        }
    }
    for (int i = 0; i < count; ++i)
        if (threads[i].state == State::at_barrier) waits = &threads[i];
    for (int i = 0; i < count; ++i) {
        const Thread &t = threads[i];
        if (t.state != waits->state || t.line != waits->line || t.place != waits->place) other = &t;
    }
    Report report("divergence");
    report.field("line", waits->line).triple("thread", waits->index.x, waits->index.y, waits->index.z);
    report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z);
    if (other) {
        report.field("other_line", other->state == State::ended ? 0 : other->line);
        report.triple("other", other->index.x, other->index.y, other->index.z);
    }
    report.send();
}

unsigned lane_in_block() { return (unsigned)device.number(device.here); }

// Made when it is first asked for: a draft may do so from outside of its kernels.
constexpr size_t DYNAMIC_ROOM = (MOST_DYNAMIC / PAGE + 1) * PAGE;
char *dynamic_shared() {
    static char *place = nullptr;
    if (!place) {
        place = (char *)pages(DYNAMIC_ROOM + 2 * GUARD, PROT_NONE) + GUARD;
        mprotect(place, DYNAMIC_ROOM, PROT_READ | PROT_WRITE);
    }
    return place;
}

[[noreturn]] void assertion_failed(const char *text, int line) {
    Report report("assertion");
    report.field("text", text).field("line", line);
    report.triple("thread", threadIdx.x, threadIdx.y, threadIdx.z);
    report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z).send();
}

}  // namespace simgpu
