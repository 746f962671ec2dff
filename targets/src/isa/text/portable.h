/* 16 lanes as four vectors of 16 bytes, in the vector types of GCC and Clang: SSE2 on any x86-64. */
#define MCV_UNROLL MCV_PRAGMA(GCC unroll 16)
/* A step of a dot product is long enough without unrolling, and slow to compile. */
#define MCV_STEPS MCV_PRAGMA(GCC unroll 1)
typedef float mcv_f4 __attribute__((vector_size(16)));
typedef int32_t mcv_i4 __attribute__((vector_size(16)));
typedef int16_t mcv_s8 __attribute__((vector_size(16)));
typedef uint16_t mcv_u8 __attribute__((vector_size(16)));
typedef struct { mcv_f4 a, b, c, d; } vf;
typedef struct { mcv_i4 a, b, c, d; } vi;
typedef struct { mcv_u8 a, b, c, d; } vb;

#define MCV_EACH(type, f, x) type r = {f((x).a), f((x).b), f((x).c), f((x).d)}; return r
#define MCV_PAIR(f, x, y) vf r = {f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)}; return r
#define MCV_AT(f, p) vf r = {f(p), f((p) + 4), f((p) + 8), f((p) + 12)}; return r

/* a where the mask is set, else b. */
MCV_INLINE mcv_f4 mcv_pick(mcv_i4 mask, mcv_f4 a, mcv_f4 b) { return (mcv_f4)((mask & (mcv_i4)a) | (~mask & (mcv_i4)b)); }
MCV_INLINE mcv_f4 mcv_load4(const float *p) { mcv_f4 r; memcpy(&r, p, 16); return r; }
MCV_INLINE mcv_i4 mcv_load4_u16(const uint16_t *p) {
    uint16_t t __attribute__((vector_size(8)));
    memcpy(&t, p, 8);
    return __builtin_convertvector(t, mcv_i4);
}
/* The half's exponent and mantissa as a float's, times the difference of the biases: exact, subnormals too. */
MCV_INLINE mcv_f4 mcv_load4_f16(const uint16_t *p) {
    const mcv_i4 h = mcv_load4_u16(p), rest = (h & 0x7fff) << 13;
    const mcv_i4 special = (rest >= 0x0f800000) & 0x7f800000;
    return (mcv_f4)((mcv_i4)((mcv_f4)rest * 0x1p112f) | special | (h & 0x8000) << 16);
}
MCV_INLINE mcv_f4 mcv_load4_bf16(const uint16_t *p) { return (mcv_f4)(mcv_load4_u16(p) << 16); }
MCV_INLINE mcv_f4 mcv_load4_i8(const int8_t *p) { mcv_f4 r = {p[0], p[1], p[2], p[3]}; return r; }
MCV_INLINE mcv_f4 mcv_load4_low(const uint8_t *p) { mcv_f4 r = {p[0] & 15, p[1] & 15, p[2] & 15, p[3] & 15}; return r; }
MCV_INLINE mcv_f4 mcv_load4_high(const uint8_t *p) { mcv_f4 r = {p[0] >> 4, p[1] >> 4, p[2] >> 4, p[3] >> 4}; return r; }

MCV_INLINE vf vf_set(float x) { const mcv_f4 t = {x, x, x, x}; vf r = {t, t, t, t}; return r; }
MCV_INLINE vf vf_load(const float *p) { MCV_AT(mcv_load4, p); }
MCV_INLINE vf vf_load_f16(const uint16_t *p) { MCV_AT(mcv_load4_f16, p); }
MCV_INLINE vf vf_load_bf16(const uint16_t *p) { MCV_AT(mcv_load4_bf16, p); }
MCV_INLINE vf vf_load_i8(const int8_t *p) { MCV_AT(mcv_load4_i8, p); }
MCV_INLINE vf vf_load_low4(const uint8_t *p) { MCV_AT(mcv_load4_low, p); }
MCV_INLINE vf vf_load_high4(const uint8_t *p) { MCV_AT(mcv_load4_high, p); }
MCV_INLINE void vf_store(float *p, vf x) { memcpy(p, &x, 64); }
MCV_INLINE vf vf_load_n(const float *p, int n) {
    if (n >= 16) return vf_load(p);
    float t[16] = {0};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return vf_load(t);
}
MCV_INLINE vf vf_load_f16_n(const uint16_t *p, int n) {
    if (n >= 16) return vf_load_f16(p);
    uint16_t t[16] = {0};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return vf_load_f16(t);
}
MCV_INLINE vf vf_load_bf16_n(const uint16_t *p, int n) {
    if (n >= 16) return vf_load_bf16(p);
    uint16_t t[16] = {0};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return vf_load_bf16(t);
}
MCV_INLINE void vf_store_n(float *p, vf x, int n) {
    if (n >= 16) { vf_store(p, x); return; }
    float t[16];
    vf_store(t, x);
    for (int i = 0; i < n; i++) p[i] = t[i];
}
MCV_INLINE void vf_store_f16_n(uint16_t *p, vf x, int n) {
    float t[16];
    vf_store(t, x);
    for (int i = 0; i < n; i++) p[i] = mcv_f32_to_f16(t[i]);
}
MCV_INLINE void vf_store_bf16_n(uint16_t *p, vf x, int n) {
    float t[16];
    vf_store(t, x);
    for (int i = 0; i < n; i++) p[i] = mcv_f32_to_bf16(t[i]);
}
MCV_INLINE void vf_store_i8(int8_t *p, vf x) {
    float t[16];
    vf_store(t, x);
    for (int i = 0; i < 16; i++) p[i] = (int8_t)t[i];
}

MCV_INLINE vf vf_add(vf x, vf y) { vf r = {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d}; return r; }
MCV_INLINE vf vf_sub(vf x, vf y) { vf r = {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d}; return r; }
MCV_INLINE vf vf_mul(vf x, vf y) { vf r = {x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d}; return r; }
MCV_INLINE vf vf_div(vf x, vf y) { vf r = {x.a / y.a, x.b / y.b, x.c / y.c, x.d / y.d}; return r; }
MCV_INLINE vf vf_fma(vf x, vf y, vf z) { return vf_add(vf_mul(x, y), z); }
MCV_INLINE mcv_f4 mcv_max4(mcv_f4 x, mcv_f4 y) { return mcv_pick(x > y, x, y); }
MCV_INLINE mcv_f4 mcv_min4(mcv_f4 x, mcv_f4 y) { return mcv_pick(x < y, x, y); }
MCV_INLINE mcv_f4 mcv_abs4(mcv_f4 x) { return (mcv_f4)((mcv_i4)x & 0x7fffffff); }
MCV_INLINE mcv_f4 mcv_round4(mcv_f4 x) { return x + 0x1.8p23f - 0x1.8p23f; }
MCV_INLINE mcv_f4 mcv_pow4(mcv_f4 n) { return (mcv_f4)((__builtin_convertvector(n, mcv_i4) + 127) << 23); }
MCV_INLINE vf vf_max(vf x, vf y) { MCV_PAIR(mcv_max4, x, y); }
MCV_INLINE vf vf_min(vf x, vf y) { MCV_PAIR(mcv_min4, x, y); }
MCV_INLINE vf vf_abs(vf x) { MCV_EACH(vf, mcv_abs4, x); }
/* Half to even where |x| < 2^22: a float of 2^23 and more has no fraction. */
MCV_INLINE vf vf_round(vf x) { MCV_EACH(vf, mcv_round4, x); }
/* 2^n for whole -126 <= n <= 127. */
MCV_INLINE vf vf_pow2(vf n) { MCV_EACH(vf, mcv_pow4, n); }
/* a where x < limit, else b. */
MCV_INLINE vf vf_less(vf x, vf limit, vf a, vf b) {
    vf r = {mcv_pick(x.a < limit.a, a.a, b.a), mcv_pick(x.b < limit.b, a.b, b.b),
            mcv_pick(x.c < limit.c, a.c, b.c), mcv_pick(x.d < limit.d, a.d, b.d)};
    return r;
}
/* a in the first n lanes, else b. */
MCV_INLINE vf vf_first(int n, vf a, vf b) {
    const mcv_i4 lane = {0, 1, 2, 3};
    vf r = {mcv_pick(lane < n, a.a, b.a), mcv_pick(lane < n - 4, a.b, b.b),
            mcv_pick(lane < n - 8, a.c, b.c), mcv_pick(lane < n - 12, a.d, b.d)};
    return r;
}
MCV_INLINE float vf_sum(vf x) {
    const mcv_f4 s = (x.a + x.c) + (x.b + x.d);
    return (s[0] + s[2]) + (s[1] + s[3]);
}
MCV_INLINE float vf_top(vf x) {
    const mcv_f4 s = mcv_max4(mcv_max4(x.a, x.c), mcv_max4(x.b, x.d));
    const float low = s[0] > s[2] ? s[0] : s[2], high = s[1] > s[3] ? s[1] : s[3];
    return low > high ? low : high;
}
MCV_INLINE mcv_f4 mcv_sums4(const vf *r) { mcv_f4 s = {vf_sum(r[0]), vf_sum(r[1]), vf_sum(r[2]), vf_sum(r[3])}; return s; }
/* Lane i: the sum of r[i]'s lanes. */
/* Lane i of r[j] becomes lane j of r[i]. */
MCV_INLINE void vf_turn(vf *r) {
    float t[256];
    memcpy(t, r, sizeof t);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) ((float *)(r + i))[j] = t[16 * j + i];
}
MCV_INLINE vf vf_sums(const vf *a) { MCV_AT(mcv_sums4, a); }

MCV_INLINE mcv_f4 mcv_from4(mcv_i4 x) { return __builtin_convertvector(x, mcv_f4); }
MCV_INLINE mcv_u8 mcv_low8(mcv_u8 x) { return x & 0x0f0f; }
MCV_INLINE mcv_u8 mcv_high8(mcv_u8 x) { return x >> 4 & 0x0f0f; }
MCV_INLINE vi vi_zero(void) { const mcv_i4 t = {0}; vi r = {t, t, t, t}; return r; }
MCV_INLINE vi vi_set(int32_t x) { const mcv_i4 t = {x, x, x, x}; vi r = {t, t, t, t}; return r; }
MCV_INLINE vf vf_from(vi x) { MCV_EACH(vf, mcv_from4, x); }
MCV_INLINE vb vb_load(const void *p) { vb r; memcpy(&r, p, 64); return r; }
MCV_INLINE vb vb_low4(vb x) { MCV_EACH(vb, mcv_low8, x); }
MCV_INLINE vb vb_high4(vb x) { MCV_EACH(vb, mcv_high8, x); }
/* Activations `i` and `i + 2`, over and over: the partners of the even (i = 0) or odd (i = 1) weights. */
MCV_INLINE mcv_s8 mcv_every2(const int8_t *x, int i) {
    const int32_t two = (int32_t)((uint32_t)(uint16_t)x[i] | (uint32_t)(uint16_t)x[i + 2] << 16);
    const mcv_i4 r = {two, two, two, two};
    return (mcv_s8)r;
}
/* Sums of neighbours. */
MCV_INLINE mcv_i4 mcv_pairs(mcv_s8 x) { return ((mcv_i4)x << 16 >> 16) + ((mcv_i4)x >> 16); }
/* A product of a weight and an activation fits 16 bits; the sum of two does not. */
MCV_INLINE mcv_i4 mcv_dot4(mcv_u8 w, mcv_s8 even, mcv_s8 odd) {
    return mcv_pairs((mcv_s8)(w & 255) * even) + mcv_pairs((mcv_s8)(w >> 8) * odd);
}
/* The same where w <= 15: there it does. */
MCV_INLINE mcv_i4 mcv_dot4_small(mcv_u8 w, mcv_s8 even, mcv_s8 odd) {
    return mcv_pairs((mcv_s8)(w & 255) * even + (mcv_s8)(w >> 8) * odd);
}
#define MCV_DOT(f) \
    const mcv_s8 even = mcv_every2(x, 0), odd = mcv_every2(x, 1); \
    vi r = {a.a + f(w.a, even, odd), a.b + f(w.b, even, odd), a.c + f(w.c, even, odd), a.d + f(w.d, even, odd)}; \
    return r
/* Lane i: a + sum of w[4i..4i+4] * x[0..4]. */
MCV_INLINE vi dot4(vi a, vb w, const int8_t *x) { MCV_DOT(mcv_dot4); }
/* The same where w <= 15. */
MCV_INLINE vi dot4_small(vi a, vb w, const int8_t *x) { MCV_DOT(mcv_dot4_small); }
