/* 16 halves as two registers; arithmetic in half precision. */
typedef struct { float16x8_t a, b; } vh;
MCV_INLINE vh vh_zero(void) { const float16x8_t t = vdupq_n_f16(0); vh r = {t, t}; return r; }
MCV_INLINE vh vh_load(const uint16_t *p) { vh r = {vreinterpretq_f16_u16(vld1q_u16(p)), vreinterpretq_f16_u16(vld1q_u16(p + 8))}; return r; }
MCV_INLINE void vh_store(uint16_t *p, vh x) { vst1q_u16(p, vreinterpretq_u16_f16(x.a)); vst1q_u16(p + 8, vreinterpretq_u16_f16(x.b)); }
MCV_INLINE float16x8_t vh_narrow8(const float *p) { return vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(p)), vld1q_f32(p + 4)); }
/* What is beyond the range of halves becomes the largest of them. */
MCV_INLINE float16x8_t vh_within(float16x8_t x) {
    const float16x8_t most = vreinterpretq_f16_u16(vdupq_n_u16(0x7bff));
    return vmaxq_f16(vminq_f16(x, most), vnegq_f16(most));
}
MCV_INLINE vh vh_narrow(const float *p) { vh r = {vh_within(vh_narrow8(p)), vh_within(vh_narrow8(p + 8))}; return r; }
MCV_INLINE vh vh_load_n(const float *p, int n) { MCV_SOME(float, vh_narrow); }
MCV_INLINE vh vh_load_f16_n(const uint16_t *p, int n) { MCV_SOME(uint16_t, vh_load); }
MCV_INLINE vh vh_load_bf16_n(const uint16_t *p, int n) { float t[16]; vf_store(t, vf_load_bf16_n(p, n)); return vh_narrow(t); }
MCV_INLINE vh vh_fma(float16_t x, vh y, vh z) { vh r = {vfmaq_n_f16(z.a, y.a, x), vfmaq_n_f16(z.b, y.b, x)}; return r; }
MCV_INLINE vf vf_widen(vh x) {
    vf r = {vcvt_f32_f16(vget_low_f16(x.a)), vcvt_high_f32_f16(x.a), vcvt_f32_f16(vget_low_f16(x.b)), vcvt_high_f32_f16(x.b)};
    return r;
}
