/* 16 lanes as plain C loops, for compilers without vector types. */
#define MCV_UNROLL
#define MCV_STEPS
typedef struct { float v[16]; } vf;
typedef struct { int32_t v[16]; } vi;
typedef struct { uint8_t v[64]; } vb;

#define MCV_LANES(e) vf r; for (int i = 0; i < 16; i++) r.v[i] = (e); return r

MCV_INLINE vf vf_set(float x) { MCV_LANES(x); }
MCV_INLINE vf vf_load_n(const float *p, int n) { MCV_LANES(i < n ? p[i] : 0.0f); }
MCV_INLINE vf vf_load(const float *p) { MCV_LANES(p[i]); }
MCV_INLINE void vf_store_n(float *p, vf a, int n) { for (int i = 0; i < n; i++) p[i] = a.v[i]; }
MCV_INLINE void vf_store(float *p, vf a) { memcpy(p, a.v, 64); }
MCV_INLINE vf vf_load_f16_n(const uint16_t *p, int n) { MCV_LANES(i < n ? mcv_f16_to_f32(p[i]) : 0.0f); }
MCV_INLINE vf vf_load_f16(const uint16_t *p) { MCV_LANES(mcv_f16_to_f32(p[i])); }
MCV_INLINE vf vf_load_bf16_n(const uint16_t *p, int n) { MCV_LANES(i < n ? mcv_bits((uint32_t)p[i] << 16) : 0.0f); }
MCV_INLINE vf vf_load_bf16(const uint16_t *p) { MCV_LANES(mcv_bits((uint32_t)p[i] << 16)); }
MCV_INLINE void vf_store_f16_n(uint16_t *p, vf a, int n) { for (int i = 0; i < n; i++) p[i] = mcv_f32_to_f16(a.v[i]); }
MCV_INLINE void vf_store_bf16_n(uint16_t *p, vf a, int n) { for (int i = 0; i < n; i++) p[i] = mcv_f32_to_bf16(a.v[i]); }
MCV_INLINE vf vf_load_i8(const int8_t *p) { MCV_LANES((float)p[i]); }
MCV_INLINE vf vf_load_low4(const uint8_t *p) { MCV_LANES((float)(p[i] & 15)); }
MCV_INLINE vf vf_load_high4(const uint8_t *p) { MCV_LANES((float)(p[i] >> 4)); }
MCV_INLINE void vf_store_i8(int8_t *p, vf a) { for (int i = 0; i < 16; i++) p[i] = (int8_t)a.v[i]; }

MCV_INLINE vf vf_add(vf a, vf b) { MCV_LANES(a.v[i] + b.v[i]); }
MCV_INLINE vf vf_sub(vf a, vf b) { MCV_LANES(a.v[i] - b.v[i]); }
MCV_INLINE vf vf_mul(vf a, vf b) { MCV_LANES(a.v[i] * b.v[i]); }
MCV_INLINE vf vf_div(vf a, vf b) { MCV_LANES(a.v[i] / b.v[i]); }
MCV_INLINE vf vf_fma(vf a, vf b, vf c) { MCV_LANES(a.v[i] * b.v[i] + c.v[i]); }
MCV_INLINE vf vf_max(vf a, vf b) { MCV_LANES(a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
MCV_INLINE vf vf_min(vf a, vf b) { MCV_LANES(a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
MCV_INLINE vf vf_abs(vf a) { MCV_LANES(fabsf(a.v[i])); }
/* Half to even where |x| < 2^22: a float of 2^23 and more has no fraction. */
MCV_INLINE vf vf_round(vf a) { MCV_LANES(a.v[i] + 0x1.8p23f - 0x1.8p23f); }
/* a where x < limit, else b. */
MCV_INLINE vf vf_less(vf x, vf limit, vf a, vf b) { MCV_LANES(x.v[i] < limit.v[i] ? a.v[i] : b.v[i]); }
/* a in the first n lanes, else b. */
MCV_INLINE vf vf_first(int n, vf a, vf b) { MCV_LANES(i < n ? a.v[i] : b.v[i]); }
/* 2^n for whole -126 <= n <= 127. */
MCV_INLINE vf vf_pow2(vf n) { MCV_LANES(mcv_bits((uint32_t)((int32_t)n.v[i] + 127) << 23)); }
MCV_INLINE float vf_sum(vf a) {
    for (int s = 8; s; s /= 2) for (int i = 0; i < s; i++) a.v[i] += a.v[i + s];
    return a.v[0];
}
MCV_INLINE float vf_top(vf a) {
    for (int s = 8; s; s /= 2) for (int i = 0; i < s; i++) a.v[i] = a.v[i] > a.v[i + s] ? a.v[i] : a.v[i + s];
    return a.v[0];
}
/* Lane i: the sum of r[i]'s lanes. */
MCV_INLINE vf vf_sums(const vf *a) { MCV_LANES(vf_sum(a[i])); }

MCV_INLINE vi vi_zero(void) { vi r; memset(&r, 0, sizeof r); return r; }
MCV_INLINE vi vi_set(int32_t x) { vi r; for (int i = 0; i < 16; i++) r.v[i] = x; return r; }
MCV_INLINE vf vf_from(vi a) { MCV_LANES((float)a.v[i]); }
MCV_INLINE vb vb_load(const void *p) { vb r; memcpy(r.v, p, 64); return r; }
MCV_INLINE vb vb_low4(vb a) { for (int i = 0; i < 64; i++) a.v[i] &= 15; return a; }
MCV_INLINE vb vb_high4(vb a) { for (int i = 0; i < 64; i++) a.v[i] >>= 4; return a; }
/* Lane i: a + sum of w[4i..4i+4] * x[0..4]. */
MCV_INLINE vi dot4(vi a, vb w, const int8_t *x) {
    for (int i = 0; i < 16; i++)
        a.v[i] += w.v[4 * i] * x[0] + w.v[4 * i + 1] * x[1] + w.v[4 * i + 2] * x[2] + w.v[4 * i + 3] * x[3];
    return a;
}
/* The same where w <= 15. */
MCV_INLINE vi dot4_small(vi a, vb w, const int8_t *x) { return dot4(a, w, x); }
