"""What the stand-in for NVRTC runs: device code becomes a library for the CPU.

compile.py FOLDER       reads source.cu, before.h and names; leaves cubin and log
compile.py --runtime    makes the runtime once, beside this file
"""

import re
import subprocess
import sys
from pathlib import Path

from outpace.tuner.simgpu import building
from outpace.tuner.simgpu.source import dynamic_shared, without_comments

HERE = Path(__file__).resolve().parent
RUNTIME = HERE / "runtime.o"
SIMGPU = Path(building.__file__).resolve().parent
FLAGS = ["-fPIC", "-fno-gnu-unique", "-fvisibility=hidden", "-w"]
INCLUDES = [f"-I{SIMGPU / name}" for name in ("device", "device/toolkit", "runtime")]


def make_runtime():
    subprocess.run(
        ["g++", "-std=c++17", "-O1", *FLAGS, *INCLUDES, "-c", HERE / "runtime.cpp", "-o", RUNTIME],
        check=True,
    )


def compiled(folder):
    names = (folder / "names").read_text().split("\n")[:-1]
    given = folder / "before.h"
    before = given.read_text().split("\n") if given.exists() else []
    source = dynamic_shared(without_comments((folder / "source.cu").read_text()))
    unit = [
        '#include "simgpu.h"',
        "#undef __shared__",
        "#define __shared__ static",  # blocks run one after another, on one thread
        *(line for line in before if line.startswith(("#define", "constexpr", "static"))),
        '#line 1 "draft.cu"',
        source,
        '#include "kernels.h"',
        "extern const simgpu::Kernel simgpu_kernels[] = {",
        *(f'simgpu::kernel_of<(&{name})>("{name}", (&{name}), 0),' for name in names),
        "};",
        'extern "C" __attribute__((visibility("default"))) int standin_count;',
        f"int standin_count = {len(names)};",
    ]
    (folder / "unit.cpp").write_text("\n".join(unit))
    command = [
        *("g++", "-std=gnu++17", "-O1", *FLAGS, *INCLUDES, "-fno-strict-aliasing"),
        *("-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-shared", "-Wl,-Bsymbolic"),
        *(str(folder / "unit.cpp"), str(RUNTIME), "-o", str(folder / "cubin")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [
        f"ptxas info : Compiling entry function 'kernel_{i}' for 'sm_90'\n"
        "ptxas info : 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info : Used 32 registers\n"
        for i in range(len(names))
    ]
    refused = re.sub(
        r"static assertion failed: (.*)", r'static assertion failed with "\1"', done.stderr
    )
    (folder / "log").write_text(refused + "".join(said))
    return done.returncode


if __name__ == "__main__":
    if sys.argv[1] == "--runtime":
        make_runtime()
    else:
        sys.exit(compiled(Path(sys.argv[1])))
