/* Functions that compilers call by name: the program needs no library of theirs, nor of C. */
#undef sqrtf
#define MCV_HIDDEN __attribute__((visibility("hidden"), used))
static uint32_t mcv_bits_of(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
/* Newton's iteration for 1 / sqrt(x), and one for the root itself; x >= 0 and finite. */
MCV_HIDDEN float sqrtf(float x) {
    if (x == 0.0f) return x;
    float r = mcv_bits(0x5f3759df - (mcv_bits_of(x) >> 1));
    for (int i = 0; i < 3; i++) r = r * (1.5f - 0.5f * x * r * r);
    const float root = x * r;
    return root + 0.5f * r * (x - root * root);
}
MCV_HIDDEN float __hexagon_sqrtf(float x) { return sqrtf(x); }

/* At least 32 bytes, a multiple of 8, most often aligned to 8. */
MCV_HIDDEN void *__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *to, const void *from, uint32_t count) {
    if (((uintptr_t)to | (uintptr_t)from) & 7) return memcpy(to, from, count);
    uint64_t *t = (uint64_t *)to;
    const uint64_t *f = (const uint64_t *)from;
    for (uint32_t i = 0; i < count / 8; i++) t[i] = f[i];
    return to;
}

static uint64_t mcv_divide(uint64_t n, uint64_t d, uint64_t *rest) {
    uint64_t quotient = 0;
    if (d && n >= d)
        for (int shift = __builtin_clzll(d) - __builtin_clzll(n); shift >= 0; shift--)
            if (n >= d << shift) {
                n -= d << shift;
                quotient |= 1ull << shift;
            }
    *rest = n;
    return quotient;
}
static uint64_t mcv_magnitude(int64_t x) { return x < 0 ? -(uint64_t)x : (uint64_t)x; }
MCV_HIDDEN uint64_t __hexagon_udivdi3(uint64_t n, uint64_t d) { uint64_t rest; return mcv_divide(n, d, &rest); }
MCV_HIDDEN uint64_t __hexagon_umoddi3(uint64_t n, uint64_t d) { uint64_t rest; mcv_divide(n, d, &rest); return rest; }
MCV_HIDDEN int64_t __hexagon_divdi3(int64_t n, int64_t d) {
    const uint64_t q = __hexagon_udivdi3(mcv_magnitude(n), mcv_magnitude(d));
    return (int64_t)((n ^ d) < 0 ? -q : q);
}
MCV_HIDDEN int64_t __hexagon_moddi3(int64_t n, int64_t d) {
    const uint64_t rest = __hexagon_umoddi3(mcv_magnitude(n), mcv_magnitude(d));
    return (int64_t)(n < 0 ? -rest : rest);
}
MCV_HIDDEN uint32_t __hexagon_udivsi3(uint32_t n, uint32_t d) { return (uint32_t)__hexagon_udivdi3(n, d); }
MCV_HIDDEN uint32_t __hexagon_umodsi3(uint32_t n, uint32_t d) { return (uint32_t)__hexagon_umoddi3(n, d); }
MCV_HIDDEN int32_t __hexagon_divsi3(int32_t n, int32_t d) { return (int32_t)__hexagon_divdi3(n, d); }
MCV_HIDDEN int32_t __hexagon_modsi3(int32_t n, int32_t d) { return (int32_t)__hexagon_moddi3(n, d); }

/* a * b + c, rounded once. */
static float mcv_fused(float a, float b, float c) { return __builtin_HEXAGON_F2_sffma(c, a, b); }
/* 2^n for -126 <= n <= 127. */
static float mcv_power(int n) { return mcv_bits((uint32_t)(n + 127) << 23); }
/* Mantissa in [1, 2) of a finite x > 0, and its exponent. */
static float mcv_mantissa(float x, int *exponent) {
    const int tiny = x < 0x1p-126f;
    const uint32_t bits = mcv_bits_of(tiny ? x * 0x1p24f : x);
    *exponent = (int)(bits >> 23) - 127 - (tiny ? 24 : 0);
    return mcv_bits((bits & 0x7fffff) | 0x3f800000);
}
/* a / b: mantissas by Newton's iteration with fused steps, then the exponents. */
MCV_HIDDEN float __hexagon_divsf3(float a, float b) {
    const uint32_t sign = (mcv_bits_of(a) ^ mcv_bits_of(b)) & 0x80000000;
    const float inf = INFINITY;
    a = fabsf(a);
    b = fabsf(b);
    if (!(a <= inf && b <= inf) || (a == b && (a == 0.0f || a == inf))) return mcv_bits(0x7fc00000);
    if (a == inf || b == 0.0f) return mcv_bits(sign | 0x7f800000);
    if (b == inf || a == 0.0f) return mcv_bits(sign);
    int ea, eb;
    const float n = mcv_mantissa(a, &ea), d = mcv_mantissa(b, &eb);
    float r = mcv_bits(0x7ef311c7 - mcv_bits_of(d));
    for (int i = 0; i < 4; i++) r = mcv_fused(r, mcv_fused(-d, r, 1.0f), r);
    float q = n * r;
    q = mcv_fused(mcv_fused(-d, q, n), r, q);
    const int e = ea - eb, half = e / 2;
    q = e < -125 ? q * mcv_power(half) * mcv_power(e - half) : e > 126 ? q * mcv_power(126) * mcv_power(e - 126) : q * mcv_power(e);
    return mcv_bits(mcv_bits_of(q) | sign);
}
