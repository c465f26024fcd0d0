// outpace: {"plan": {"steps": [{"fill": "out", "value": 0}, {"launch": "sum", "grid": [4], "block": [1], "arguments": ["x", "out", "n"]}]}}
// reference: total
// expect: wrong
// says: a race on `out[0]`
// when: soak
__global__ void sum(const double *x, volatile double *out, int64_t n) {
    double t = 0; for (int64_t i = blockIdx.x; i < n; i += 4) t += x[i];
    *out += t;
}
