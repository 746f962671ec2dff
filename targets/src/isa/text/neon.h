/* 16 lanes as four registers of Advanced SIMD. */
#include <arm_neon.h>
#define MCV_UNROLL MCV_PRAGMA(GCC unroll 16)
#define MCV_STEPS MCV_PRAGMA(GCC unroll 4)
typedef struct { float32x4_t a, b, c, d; } vf;
typedef struct { int32x4_t a, b, c, d; } vi;

#define MCV_EACH(f, x) vf r = {f((x).a), f((x).b), f((x).c), f((x).d)}; return r
#define MCV_PAIR(f, x, y) vf r = {f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)}; return r
#define MCV_AT(f, p) vf r = {f(p), f((p) + 4), f((p) + 8), f((p) + 12)}; return r

MCV_INLINE float32x4_t mcv_half4(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
MCV_INLINE float32x4_t mcv_brain4(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
MCV_INLINE vf vf_set(float x) { const float32x4_t t = vdupq_n_f32(x); vf r = {t, t, t, t}; return r; }
MCV_INLINE vf vf_load(const float *p) { MCV_AT(vld1q_f32, p); }
MCV_INLINE vf vf_load_f16(const uint16_t *p) { MCV_AT(mcv_half4, p); }
MCV_INLINE vf vf_load_bf16(const uint16_t *p) { MCV_AT(mcv_brain4, p); }
MCV_INLINE void vf_store(float *p, vf x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}
MCV_INLINE void mcv_store_f16(uint16_t *p, vf x) {
    vst1q_u16(p, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.a), x.b)));
    vst1q_u16(p + 8, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(x.c), x.d)));
}
/* First n of 16 lanes. */
#define MCV_SOME(type, load) \
    if (n >= 16) return load(p); \
    type t[16] = {0}; \
    for (int i = 0; i < n; i++) t[i] = p[i]; \
    return load(t)
MCV_INLINE vf vf_load_n(const float *p, int n) { MCV_SOME(float, vf_load); }
MCV_INLINE vf vf_load_f16_n(const uint16_t *p, int n) { MCV_SOME(uint16_t, vf_load_f16); }
MCV_INLINE vf vf_load_bf16_n(const uint16_t *p, int n) { MCV_SOME(uint16_t, vf_load_bf16); }
MCV_INLINE void vf_store_n(float *p, vf x, int n) {
    if (n >= 16) { vf_store(p, x); return; }
    float t[16];
    vf_store(t, x);
    for (int i = 0; i < n; i++) p[i] = t[i];
}
MCV_INLINE void vf_store_f16_n(uint16_t *p, vf x, int n) {
    uint16_t t[16];
    mcv_store_f16(n >= 16 ? p : t, x);
    if (n < 16) for (int i = 0; i < n; i++) p[i] = t[i];
}
MCV_INLINE uint32x4_t mcv_round_bf16(float32x4_t x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    return vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
}
MCV_INLINE void vf_store_bf16_n(uint16_t *p, vf x, int n) {
    uint16_t t[16];
    uint16_t *to = n >= 16 ? p : t;
    vst1q_u16(to, vshrn_high_n_u32(vshrn_n_u32(mcv_round_bf16(x.a), 16), mcv_round_bf16(x.b), 16));
    vst1q_u16(to + 8, vshrn_high_n_u32(vshrn_n_u32(mcv_round_bf16(x.c), 16), mcv_round_bf16(x.d), 16));
    if (n < 16) for (int i = 0; i < n; i++) p[i] = t[i];
}
MCV_INLINE vf mcv_from_bytes(int8x16_t x) {
    const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_high_s8(x);
    vf r = {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))};
    return r;
}
MCV_INLINE vf vf_load_i8(const int8_t *p) { return mcv_from_bytes(vld1q_s8(p)); }
MCV_INLINE vf vf_load_low4(const uint8_t *p) {
    return mcv_from_bytes(vreinterpretq_s8_u8(vandq_u8(vld1q_u8(p), vdupq_n_u8(15))));
}
MCV_INLINE vf vf_load_high4(const uint8_t *p) { return mcv_from_bytes(vreinterpretq_s8_u8(vshrq_n_u8(vld1q_u8(p), 4))); }
MCV_INLINE void vf_store_i8(int8_t *p, vf x) {
    const int16x8_t low = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(x.a)), vcvtnq_s32_f32(x.b));
    const int16x8_t high = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(x.c)), vcvtnq_s32_f32(x.d));
    vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(low), high));
}

MCV_INLINE vf vf_add(vf x, vf y) { MCV_PAIR(vaddq_f32, x, y); }
MCV_INLINE vf vf_sub(vf x, vf y) { MCV_PAIR(vsubq_f32, x, y); }
MCV_INLINE vf vf_mul(vf x, vf y) { MCV_PAIR(vmulq_f32, x, y); }
MCV_INLINE vf vf_div(vf x, vf y) { MCV_PAIR(vdivq_f32, x, y); }
MCV_INLINE vf vf_max(vf x, vf y) { MCV_PAIR(vmaxq_f32, x, y); }
MCV_INLINE vf vf_min(vf x, vf y) { MCV_PAIR(vminq_f32, x, y); }
MCV_INLINE vf vf_fma(vf x, vf y, vf z) {
    vf r = {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
    return r;
}
MCV_INLINE vf vf_abs(vf x) { MCV_EACH(vabsq_f32, x); }
MCV_INLINE vf vf_round(vf x) { MCV_EACH(vrndnq_f32, x); }
/* a where x < limit, else b. */
MCV_INLINE vf vf_less(vf x, vf limit, vf a, vf b) {
    vf r = {vbslq_f32(vcltq_f32(x.a, limit.a), a.a, b.a), vbslq_f32(vcltq_f32(x.b, limit.b), a.b, b.b),
            vbslq_f32(vcltq_f32(x.c, limit.c), a.c, b.c), vbslq_f32(vcltq_f32(x.d, limit.d), a.d, b.d)};
    return r;
}
/* a in the first n lanes, else b. */
MCV_INLINE vf vf_first(int n, vf a, vf b) {
    const int32x4_t lane = {0, 1, 2, 3};
    vf r = {vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n)), a.a, b.a), vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n - 4)), a.b, b.b),
            vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n - 8)), a.c, b.c), vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n - 12)), a.d, b.d)};
    return r;
}
MCV_INLINE float32x4_t mcv_pow4(float32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
}
/* 2^n for whole -126 <= n <= 127. */
MCV_INLINE vf vf_pow2(vf n) { MCV_EACH(mcv_pow4, n); }
MCV_INLINE float vf_sum(vf x) { return vaddvq_f32(vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d))); }
MCV_INLINE float vf_top(vf x) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.a, x.c), vmaxq_f32(x.b, x.d))); }
MCV_INLINE float32x4_t mcv_fold(vf x) { return vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d)); }
MCV_INLINE float32x4_t mcv_sums4(const vf *r) {
    return vpaddq_f32(vpaddq_f32(mcv_fold(r[0]), mcv_fold(r[1])), vpaddq_f32(mcv_fold(r[2]), mcv_fold(r[3])));
}
/* Lane i: the sum of r[i]'s lanes. */
/* Lane i of r[j] becomes lane j of r[i]: squares of 4 x 4, then their places. */
MCV_INLINE void vf_turn(vf *r) {
    float32x4_t *part = &r[0].a, t[64];
    MCV_UNROLL for (int i = 0; i < 16; i++) {
        const int row = i / 4 * 16, column = i % 4;
        const float32x4_t *p = part + row + column;
        const float32x4_t a = vtrn1q_f32(p[0], p[4]), b = vtrn2q_f32(p[0], p[4]);
        const float32x4_t x = vtrn1q_f32(p[8], p[12]), y = vtrn2q_f32(p[8], p[12]);
        float32x4_t *to = t + column * 16 + i / 4;
        to[0] = vcombine_f32(vget_low_f32(a), vget_low_f32(x));
        to[4] = vcombine_f32(vget_low_f32(b), vget_low_f32(y));
        to[8] = vcombine_f32(vget_high_f32(a), vget_high_f32(x));
        to[12] = vcombine_f32(vget_high_f32(b), vget_high_f32(y));
    }
    MCV_UNROLL for (int i = 0; i < 64; i++) part[i] = t[i];
}
MCV_INLINE vf vf_sums(const vf *a) { MCV_AT(mcv_sums4, a); }
