// A stand-in for NVRTC: keeps what it is given in files and lets `compile.py` do the work.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct program {
    char folder[512];
    char *cubin, *log;
    size_t bytes;
    int names;
    char *expressions[64];
    char symbol[32];
};

static void put(const char *folder, const char *name, const char *text, const char *mode) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, mode);
    fputs(text, file);
    fclose(file);
}

static char *taken(const char *folder, const char *name, size_t *bytes) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *content = calloc(*bytes + 1, 1);
    *bytes = fread(content, 1, *bytes, file);
    fclose(file);
    return content;
}

int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, 0; }
int nvrtcGetNumSupportedArchs(int *count) { return *count = 2, 0; }
int nvrtcGetSupportedArchs(int *found) { return found[0] = 80, found[1] = 90, 0; }
const char *nvrtcGetErrorString(int status) { return status == 6 ? "compilation" : "stand-in"; }

int nvrtcCreateProgram(struct program **made, const char *source, const char *name, int count,
                       const char *const *texts, const char *const *names) {
    struct program *p = *made = calloc(1, sizeof **made);
    (void)name;
    snprintf(p->folder, sizeof p->folder, "%s/nvrtc-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(p->folder)) return 1;
    put(p->folder, "source.cu", source, "w");
    for (int i = 0; i < count; ++i)
        if (!strcmp(names[i], "outpace_before.h")) put(p->folder, "before.h", texts[i], "w");
    put(p->folder, "names", "", "w");
    return 0;
}

int nvrtcAddNameExpression(struct program *p, const char *expression) {
    p->expressions[p->names++] = strdup(expression);
    put(p->folder, "names", expression, "a");
    put(p->folder, "names", "\n", "a");
    return 0;
}

int nvrtcCompileProgram(struct program *p, int count, const char *const *options) {
    char command[2048];
    size_t bytes;
    (void)count, (void)options;
    snprintf(command, sizeof command, "%s %s %s", PYTHON, HELPER, p->folder);
    int status = system(command);
    p->log = taken(p->folder, "log", &bytes);
    p->cubin = taken(p->folder, "cubin", &p->bytes);
    return status || !p->cubin || !p->log ? 6 : 0;
}

static const char *said(struct program *p) { return p->log ? p->log : ""; }
int nvrtcGetProgramLogSize(struct program *p, size_t *bytes) { return *bytes = strlen(said(p)) + 1, 0; }
int nvrtcGetProgramLog(struct program *p, char *text) { return strcpy(text, said(p)), 0; }
int nvrtcGetCUBINSize(struct program *p, size_t *bytes) { return *bytes = p->bytes, 0; }
int nvrtcGetCUBIN(struct program *p, char *into) { return memcpy(into, p->cubin, p->bytes), 0; }

int nvrtcGetLoweredName(struct program *p, const char *expression, const char **symbol) {
    for (int i = 0; i < p->names; ++i)
        if (!strcmp(p->expressions[i], expression)) {
            snprintf(p->symbol, sizeof p->symbol, "kernel_%d", i);
            *symbol = p->symbol;
            return 0;
        }
    return 10;
}

int nvrtcDestroyProgram(struct program **p) {
    char command[1024];
    snprintf(command, sizeof command, "rm -rf %s", (*p)->folder);
    int status = system(command);
    free(*p);
    return status != 0;
}
