// The program in which a draft is simulated: it takes calls from a pipe and answers each with one
// line of JSON. Arrays come and go through one piece of shared memory.
//
// A call is text: a length of 8 digits, then words. See `Call::read`.

#include <signal.h>
#include <sys/prctl.h>

#include <sstream>

#include "sanitizers.h"

namespace simgpu {

// --- signals ---

static void on_signal(int number, siginfo_t *info, void *) {
    uintptr_t address = (uintptr_t)info->si_addr;
    if (number == SIGSEGV && stacks.is_guard(address)) report_access("stack", "", 0, 0, true, 0);
    if (number == SIGSEGV && globals.holds(address)) {
        Region *region = globals.at(address);
        bool is_write = region && region->is_read_only;
        if (!region) region = globals.nearest(address);
        if (region)
            report_access(is_write ? "read-only" : "bounds", region->name.c_str(),
                          (long long)(address - region->begin), 1, is_write, 0);
    }
    Report report("signal");
    report.field("number", number).field("address", (long long)address);
    if (device.here) {
        report.triple("thread", threadIdx.x, threadIdx.y, threadIdx.z);
        report.triple("block", blockIdx.x, blockIdx.y, blockIdx.z);
    }
    report.send();
}

static void catch_signals() {
    stack_t stack{};
    stack.ss_size = 256 * 1024;
    stack.ss_sp = pages(stack.ss_size, PROT_READ | PROT_WRITE);
    sigaltstack(&stack, nullptr);
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP})
        sigaction(number, &action, nullptr);
}

// --- one call ---

struct Array {
    size_t offset = 0;  // in the shared memory
    std::string mode;   // in, inout, out or buffer
};

static char *shared_memory;

class Call {
  public:
    explicit Call(std::istream &from) : in(from) {}

    void run() {
        in >> device.seed;
        device.random.state = device.seed * 0x9e3779b97f4a7c15u + 0x1234567u;
        read_arrays();
        int actions;
        in >> actions;
        for (int i = 0; i < actions; ++i) {
            std::string what;
            in >> what;
            if (what == "launch") launch();
            else if (what == "fill") fill();
            else copy();
        }
        guesses.settle();
        hand_back();
    }

  private:
    std::istream &in;
    std::vector<Array> arrays;

    // `<count>`, then `<name> <mode> <offset> <bytes> <bytes of an element>` for each.
    void read_arrays() {
        int count;
        in >> count;
        arrays.resize((size_t)count);
        std::vector<Region> wanted(arrays.size());
        for (int i = 0; i < count; ++i) {
            Region &r = wanted[(size_t)i];
            Array &a = arrays[(size_t)i];
            in >> r.name >> a.mode >> a.offset >> r.size >> r.granule;
            r.granule = std::min(r.granule, 8u);
        }
        forget_gaps();
        Random places{device.seed * 0x9e3779b97f4a7c15u + 0x7654321u};
        globals.allocate(std::move(wanted), places);
        for (size_t i = 0; i < arrays.size(); ++i) {
            Region &r = globals.regions[i];
            if (arrays[i].mode == "buffer") memset((void *)r.begin, poison_byte(device.seed), r.size);
            else memcpy((void *)r.begin, shared_memory + arrays[i].offset, r.size);
            r.is_read_only = arrays[i].mode == "in";
            size_t within = r.begin % PAGE;
            if (r.is_read_only)
                mprotect((void *)(r.begin - within), Globals::room(within + r.size), PROT_READ);
        }
        poison_gaps();
    }

    // `<kernel> <grid> <block> <dynamic bytes> <count>`, then `a <array>` or `s <hex of its low half> <hex of its high half>`.
    void launch() {
        int kernel, count;
        unsigned g[3], b[3];
        size_t shared;
        in >> kernel >> g[0] >> g[1] >> g[2] >> b[0] >> b[1] >> b[2] >> shared >> count;
        std::vector<Argument> arguments((size_t)count + 1);
        for (int i = 0; i < count; ++i) arguments[(size_t)i] = read_argument();
        const Kernel &k = simgpu_kernels[kernel];
        check_threads(k, (long long)b[0] * b[1] * b[2]);
        check_shared(k, shared);
        device.kernel = &k;
        device.arguments = arguments.data();
        device.dynamic.size = shared;
        poison_dynamic_rest();
        gridDim = dim3(g[0], g[1], g[2]);
        blockDim = dim3(b[0], b[1], b[2]);
        run_blocks();
    }

    Argument read_argument() {
        std::string kind;
        Argument argument{};
        in >> kind;
        if (kind == "a") {
            size_t index;
            in >> index;
            argument.bytes[0] = globals.regions[index].begin;
        } else {
            in >> std::hex >> argument.bytes[0] >> argument.bytes[1] >> std::dec;
        }
        return argument;
    }

    static void check_threads(const Kernel &k, long long threads) {
        if (k.most_threads && threads > k.most_threads)
            Report("threads").field("kernel", k.name).field("most", k.most_threads)
                .field("threads", threads).send();
    }

    // Of static shared memory the variables of this kernel count, told by their mangled names.
    static void check_shared(const Kernel &k, size_t dynamic) {
        size_t total = 0;
        std::string plain = k.name;
        plain = plain.substr(0, plain.find('<'));
        for (size_t i = 0; i < variables.shared.size(); ++i) {
            std::string full = readable(variables.mangled[i].c_str());
            if (full.find(plain + "(") != std::string::npos ||
                full.find(plain + "<") != std::string::npos)
                total += variables.shared[i].size;
        }
        if (total > 48 * 1024 || total + dynamic > MOST_DYNAMIC - 1024)
            Report("shared").field("kernel", k.name).field("static", (long long)total)
                .field("dynamic", (long long)dynamic).send();
    }

    static void run_blocks() {
        size_t count = (size_t)gridDim.x * gridDim.y * gridDim.z;
        device.count = (int)(blockDim.x * blockDim.y * blockDim.z);
        device.first_block = device.block + 1;
        for (int i = 0; i < device.count; ++i) {
            unsigned n = (unsigned)i;
            device.threads[i].index = {n % blockDim.x, n / blockDim.x % blockDim.y,
                                       n / blockDim.x / blockDim.y};
        }
        std::vector<uint32_t> order(count);
        for (size_t i = 0; i < count; ++i) order[i] = (uint32_t)i;
        if (device.seed % 8)
            for (size_t i = count; i-- > 1;)
                std::swap(order[i], order[device.random.below((uint32_t)i + 1)]);
        for (uint32_t n : order)
            device.run_block({n % gridDim.x, n / gridDim.x % gridDim.y, n / gridDim.x / gridDim.y});
        device.here = nullptr;
    }

    // `<array> <bytes of an element> <hex of its low half> <hex of its high half>`
    void fill() {
        size_t index, bytes;
        uint64_t value[2];
        in >> index >> bytes >> std::hex >> value[0] >> value[1] >> std::dec;
        Region &r = globals.regions[index];
        for (size_t i = 0; i + bytes <= r.size; i += bytes)
            memcpy((void *)(r.begin + i), value, bytes);
    }

    void copy() {
        size_t from, to;
        in >> from >> to;
        memcpy((void *)globals.regions[to].begin, (void *)globals.regions[from].begin,
               globals.regions[to].size);
    }

    void hand_back() {
        for (size_t i = 0; i < arrays.size(); ++i)
            if (arrays[i].mode == "out" || arrays[i].mode == "inout")
                memcpy(shared_memory + arrays[i].offset, (void *)globals.regions[i].begin,
                       globals.regions[i].size);
    }
};

static bool read_exactly(int descriptor, char *into, size_t size) {
    while (size) {
        ssize_t n = read(descriptor, into, size);
        if (n <= 0) return false;
        into += n, size -= (size_t)n;
    }
    return true;
}

// Nothing was found: an empty object, or what explains wrong results.
static bool answer() {
    if (!undefined_value.line) return write(reply_descriptor, "{}\n", 3) == 3;
    const UndefinedLane &v = undefined_value;
    Report report("undefined-lane");
    report.field("line", v.line).field("lane", v.lane);
    report.triple("thread", v.thread.x, v.thread.y, v.thread.z);
    bool is_sent = report.triple("block", v.block.x, v.block.y, v.block.z).write_line();
    undefined_value = UndefinedLane();
    return is_sent;
}

}  // namespace simgpu

// Arguments: descriptors of commands, of replies and of the shared memory, and its bytes.
int main(int count, char **words) {
    using namespace simgpu;
    if (count != 5) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int commands = atoi(words[1]), memory = atoi(words[3]);
    reply_descriptor = atoi(words[2]);
    size_t size = strtoull(words[4], nullptr, 10);
    shared_memory =
        (char *)mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (shared_memory == MAP_FAILED) Report("memory").field("bytes", (long long)size).send();
    catch_signals();
    prepare_variables();
    char digits[9] = {};
    while (read_exactly(commands, digits, 8)) {
        std::string text(strtoull(digits, nullptr, 10), '\0');
        if (!read_exactly(commands, text.data(), text.size())) break;
        std::istringstream words_of_call(text);
        Call(words_of_call).run();
        fflush(stdout);
        if (!answer()) break;
    }
    return 0;
}
