// All of it is in simgpu.h, which every draft is compiled with.
#pragma once
