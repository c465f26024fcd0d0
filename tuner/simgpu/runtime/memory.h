// Memory of the simulated device: arrays between guard pages, shared variables, device variables,
// and for every granule of them who last wrote and read it.
#pragma once

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "report.h"

namespace simgpu {

constexpr size_t PAGE = 4096, GUARD = 16 * PAGE;
constexpr size_t MOST_DYNAMIC = 228 * 1024;

// One access that is remembered. `block` counts blocks since the start of the process, from 1.
struct Access {
    uint32_t block = 0, stamp = 0, code = 0;
    uint16_t thread = 0;
    bool is_write : 1, is_atomic : 1, is_volatile : 1;
    Access() : is_write(false), is_atomic(false), is_volatile(false) {}
    // Of those that order something if the other one is, too.
    bool is_strong() const { return is_atomic || is_volatile; }
};

struct Cell {
    Access write, read, other_read;
};

// A piece of memory with a name.
struct Region {
    std::string name;
    uintptr_t begin = 0;
    size_t size = 0;
    bool is_shared = false, is_read_only = false;
    unsigned granule = 1;  // bytes to a cell
    Cell *cells = nullptr;
    uintptr_t end() const { return begin + size; }
};

inline void *pages(size_t size, int protection) {
    void *found = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) Report("memory").field("bytes", (long long)size).send();
    return found;
}

// Cells for many regions, kept between calls: what is in them is older than any new access.
class Cells {
  public:
    void reset() { used = 0; }
    void reserve(size_t count) {
        if (count * sizeof(Cell) <= capacity) return;
        if (base) munmap(base, capacity);
        capacity = count * sizeof(Cell) * 2;
        base = (char *)pages(capacity, PROT_READ | PROT_WRITE);
    }
    Cell *take(size_t count) {
        Cell *found = (Cell *)(base + used);
        used += count * sizeof(Cell);
        return found;
    }

  private:
    char *base = nullptr;
    size_t capacity = 0, used = 0;
};

// --- arrays in global memory ---

struct Globals {
    uintptr_t begin = 0, end = 0;
    std::vector<Region> regions;
    std::vector<int> by_page;  // region at each page, or -1
    Cells cells;

    // Each begins at some multiple of 256 bytes, as on a GPU.
    template <class Random>
    void allocate(std::vector<Region> wanted, Random &random) {
        if (begin) munmap((void *)begin, end - begin);
        size_t total = GUARD, count = 0;
        for (const Region &r : wanted) {
            total += room(r.size) + PAGE + 2 * GUARD;
            count += r.size / r.granule + 1;
        }
        begin = (uintptr_t)pages(total, PROT_NONE);
        end = begin + total;
        by_page.assign(total / PAGE, -1);
        cells.reset();
        cells.reserve(count);
        regions = std::move(wanted);
        uintptr_t cursor = begin + GUARD;
        for (size_t i = 0; i < regions.size(); ++i) {
            Region &r = regions[i];
            cursor += random.below(GUARD / PAGE) * PAGE;
            size_t within = random.below(PAGE / 256) * 256, rooms = room(within + r.size);
            r.begin = cursor + within;
            r.cells = cells.take(r.size / r.granule + 1);
            mprotect((void *)cursor, rooms, PROT_READ | PROT_WRITE);
            for (size_t p = 0; p < rooms / PAGE; ++p)
                by_page[(cursor - begin) / PAGE + p] = (int)i;
            cursor += rooms + GUARD;
        }
    }

    static size_t room(size_t size) { return (size / PAGE + 1) * PAGE; }
    bool holds(uintptr_t address) const { return address - begin < end - begin; }

    Region *at(uintptr_t address) {
        int i = by_page[(address - begin) / PAGE];
        return i < 0 ? nullptr : &regions[(size_t)i];
    }

    // The region that an address outside of all was most likely meant to be in.
    Region *nearest(uintptr_t address) {
        Region *best = nullptr;
        uintptr_t distance = UINTPTR_MAX;
        for (Region &r : regions) {
            uintptr_t d = address < r.begin ? r.begin - address : address - r.end();
            if (d < distance) distance = d, best = &r;
        }
        return best;
    }
};

inline Globals globals;

// --- variables of the draft, from the symbols of this executable ---

struct Variables {
    uintptr_t shared_begin = 0, shared_end = 0;  // the thread-local segment
    uintptr_t device_begin = 0, device_end = 0;  // from the first to the last device variable
    std::vector<Region> shared, device;
    std::vector<std::string> mangled;  // of the shared ones
    std::vector<bool> covered;         // bytes of the segment that belong to a variable

    void find();
    bool covers(uintptr_t address, size_t size) const {
        size_t first = address - shared_begin;
        return first + size <= covered.size() && covered[first] && covered[first + size - 1];
    }
    static const Region *at(const std::vector<Region> &regions, uintptr_t address) {
        for (const Region &r : regions)
            if (address >= r.begin && address < r.end()) return &r;
        return nullptr;
    }

  private:
    void add(const char *symbol, const ElfW(Sym) & entry, uintptr_t base);
};

inline Variables variables;

inline std::string readable(const char *symbol) {
    int status = 0;
    char *plain = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
    std::string name = status == 0 && plain ? plain : symbol;
    free(plain);
    return name;
}

// `kernel(float*)::tile` is `tile` to its author.
inline std::string last_part(const std::string &name) {
    size_t colons = name.rfind("::");
    return colons == std::string::npos ? name : name.substr(colons + 2);
}

// The rest is the runtime's own and the C and C++ libraries'.
inline bool is_of_draft(const char *symbol) {
    for (const char *own : {"threadIdx", "blockIdx", "blockDim", "gridDim"})
        if (strcmp(symbol, own) == 0) return false;
    return !strstr(symbol, "simgpu") && strncmp(symbol, "_ZSt", 4) && strncmp(symbol, "_ZNSt", 5) &&
           strncmp(symbol, "__", 2) && !strchr(symbol, '@');
}

inline int note_thread_local_segment(dl_phdr_info *info, size_t, void *) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto &header = info->dlpi_phdr[i];
        if (header.p_type != PT_TLS) continue;
        variables.shared_begin = (uintptr_t)info->dlpi_tls_data;
        variables.shared_end = variables.shared_begin + header.p_memsz;
    }
    return 1;  // the executable comes first, and nothing else matters
}

inline void Variables::add(const char *symbol, const ElfW(Sym) & entry, uintptr_t base) {
    Region r;
    std::string name = readable(symbol);
    r.name = last_part(name);
    r.size = entry.st_size;
    r.begin = base + entry.st_value;
    if (base) {
        r.is_shared = true;
        shared.push_back(r), mangled.push_back(symbol);
    } else {
        device.push_back(r);
    }
}

inline void Variables::find() {
    dl_iterate_phdr(note_thread_local_segment, nullptr);
    int file = open("/proc/self/exe", O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) Report("symbols").send();
    auto *image = (const char *)mmap(nullptr, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (image == MAP_FAILED) Report("symbols").send();
    const auto *header = (const ElfW(Ehdr) *)image;
    const auto *sections = (const ElfW(Shdr) *)(image + header->e_shoff);
    for (int i = 0; i < header->e_shnum; ++i) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        const auto *symbols = (const ElfW(Sym) *)(image + sections[i].sh_offset);
        const char *names = image + sections[sections[i].sh_link].sh_offset;
        for (size_t j = 0; j < sections[i].sh_size / sizeof *symbols; ++j) {
            const char *name = names + symbols[j].st_name;
            int type = ELF64_ST_TYPE(symbols[j].st_info), section = symbols[j].st_shndx;
            if (section == SHN_UNDEF || section >= header->e_shnum || !symbols[j].st_size) continue;
            if (type == STT_TLS) {
                add(name, symbols[j], shared_begin);
            } else if (type == STT_OBJECT && (sections[section].sh_flags & SHF_WRITE) &&
                       is_of_draft(name)) {
                add(name, symbols[j], 0);
            }
        }
    }
    close(file);
    covered.assign(shared_end - shared_begin, false);
    for (const Region &r : shared)
        std::fill_n(covered.begin() + (long)(r.begin - shared_begin), r.size, true);
    for (const Region &r : device) {
        device_begin = device_begin ? std::min(device_begin, r.begin) : r.begin;
        device_end = std::max(device_end, r.end());
    }
}

}  // namespace simgpu
