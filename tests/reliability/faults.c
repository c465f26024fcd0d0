/* Makes a chosen call of the C library fail, or ends the process there.

   Loaded with LD_PRELOAD by the processes of actors.py. Calls are counted from `faults_arm` to
   `faults_disarm`, so that a test can try the first, the second, ... and the last of them. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum mode { COUNT, FAIL_ONCE, FAIL_FROM, SHORT_WRITE, KILL };

static int armed, mode, number;
static long chosen, seen;

void faults_arm(int new_mode, long at, int error_number) {
    mode = new_mode, chosen = at, number = error_number, seen = 0, armed = 1;
}

long faults_disarm(void) {
    armed = 0;
    return seen;
}

/* Whether this call fails; ends the process where that is asked for. */
static int fails(void) {
    if (!armed)
        return 0;
    seen++;
    if (seen == chosen && mode == KILL)
        kill(getpid(), SIGKILL);
    if ((seen == chosen && mode == FAIL_ONCE) || (seen >= chosen && mode == FAIL_FROM)) {
        errno = number;
        return 1;
    }
    return 0;
}

/* The function that this file stands before. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define STANDS_FOR(name, parameters, arguments) \
    int name parameters { return fails() ? -1 : REAL(name) arguments; }

STANDS_FOR(fsync, (int fd), (fd))
STANDS_FOR(mkdir, (const char *path, mode_t bits), (path, bits))
STANDS_FOR(rmdir, (const char *path), (path))
STANDS_FOR(unlink, (const char *path), (path))
STANDS_FOR(unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
STANDS_FOR(rename, (const char *from, const char *to), (from, to))
STANDS_FOR(renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
           (a, from, b, to, flags))

int close(int fd) {
    int failed = fails(); /* Linux closes the descriptor all the same. */
    int result = REAL(close)(fd);
    if (failed)
        errno = number;
    return failed ? -1 : result;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (fails())
        return -1;
    if (armed && mode == SHORT_WRITE && seen == chosen)
        size /= 2;
    return REAL(write)(fd, data, size);
}

ssize_t read(int fd, void *data, size_t size) {
    return fails() ? -1 : REAL(read)(fd, data, size);
}

DIR *opendir(const char *path) { return fails() ? NULL : REAL(opendir)(path); }

DIR *fdopendir(int fd) { return fails() ? NULL : REAL(fdopendir)(fd); }

static mode_t bits_of(int flags, va_list rest) {
    return flags & O_CREAT ? va_arg(rest, mode_t) : 0;
}

#define STANDS_FOR_OPEN(name, parameters, ...) \
    int name parameters { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t bits = bits_of(flags, rest); \
        va_end(rest); \
        return fails() ? -1 : REAL(name)(__VA_ARGS__, bits); \
    }

STANDS_FOR_OPEN(open, (const char *path, int flags, ...), path, flags)
STANDS_FOR_OPEN(open64, (const char *path, int flags, ...), path, flags)
STANDS_FOR_OPEN(openat, (int folder, const char *path, int flags, ...), folder, path, flags)
STANDS_FOR_OPEN(openat64, (int folder, const char *path, int flags, ...), folder, path, flags)
