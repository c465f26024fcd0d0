// Assertions that fail are findings; as the C library's, this header may be read again.
#undef assert
#define assert(condition) \
    ((condition) ? (void)0 : simgpu::assertion_failed(#condition, __LINE__))
