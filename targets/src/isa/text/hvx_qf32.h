/* 16 lanes as the first half of a vector of floats: the form for processors, from v68 on. Sums and products go through
 * qfloat, whose results are not IEEE's to the last bit; all else is integer work on the floats' bits. Loads read whole
 * vectors: 128 readable bytes follow each region. */
#define MCV_UNROLL _Pragma("unroll")
#define MCV_STEPS
typedef HVX_Vector vf;
typedef HVX_Vector vi;
MCV_INLINE vi vi_of(HVX_Vector x) { return x; }

#if !defined(MCV_QF32_MODEL)
MCV_INLINE vf vf_add(vf x, vf y) { return Q6_Vsf_equals_Vqf32(Q6_Vqf32_vadd_VsfVsf(x, y)); }
MCV_INLINE vf vf_sub(vf x, vf y) { return Q6_Vsf_equals_Vqf32(Q6_Vqf32_vsub_VsfVsf(x, y)); }
MCV_INLINE vf vf_mul(vf x, vf y) { return Q6_Vsf_equals_Vqf32(Q6_Vqf32_vmpy_VsfVsf(x, y)); }
#else
/* What the instructions mean, for emulators that lack them. */
#define MCV_MODEL(op) \
    float a[32], b[32]; \
    memcpy(a, &x, 128); \
    memcpy(b, &y, 128); \
    for (int i = 0; i < 16; i++) a[i] = a[i] op b[i]; \
    memcpy(&x, a, 128); \
    return x
MCV_INLINE vf vf_add(vf x, vf y) { MCV_MODEL(+); }
MCV_INLINE vf vf_sub(vf x, vf y) { MCV_MODEL(-); }
MCV_INLINE vf vf_mul(vf x, vf y) { MCV_MODEL(*); }
#endif

MCV_INLINE HVX_Vector hvx_all(uint32_t bits) { return Q6_V_vsplat_R((int32_t)bits); }
MCV_INLINE vf vf_set(float x) { uint32_t u; memcpy(&u, &x, 4); return hvx_all(u); }
MCV_INLINE float hvx_lane0(vf x) { const int32_t u = Q6_R_vextract_VR(x, 0); float f; memcpy(&f, &u, 4); return f; }
MCV_INLINE vf vf_fma(vf x, vf y, vf z) { return vf_add(vf_mul(x, y), z); }
MCV_INLINE vf vf_abs(vf x) { return Q6_V_vand_VV(x, hvx_all(0x7fffffff)); }
/* a in the first n lanes, else b. */
MCV_INLINE vf vf_first(int n, vf a, vf b) { return Q6_V_vmux_QVV(Q6_Q_vsetq_R(4 * n), a, b); }
/* Whole numbers in the order of the floats. */
MCV_INLINE HVX_Vector hvx_order(vf x) {
    return Q6_V_vxor_VV(x, Q6_V_vand_VV(Q6_Vw_vasr_VwR(x, 31), hvx_all(0x7fffffff)));
}
MCV_INLINE HVX_VectorPred hvx_above(vf x, vf y) { return Q6_Q_vcmp_gt_VwVw(hvx_order(x), hvx_order(y)); }
MCV_INLINE vf vf_max(vf x, vf y) { return Q6_V_vmux_QVV(hvx_above(x, y), x, y); }
MCV_INLINE vf vf_min(vf x, vf y) { return Q6_V_vmux_QVV(hvx_above(x, y), y, x); }
/* a where x < limit, else b. */
MCV_INLINE vf vf_less(vf x, vf limit, vf a, vf b) { return Q6_V_vmux_QVV(hvx_above(limit, x), a, b); }

/* Beside 1.5 * 2^23 the unit of a float's last bit is 1. */
MCV_INLINE vf vf_round(vf x) { return vf_sub(vf_add(x, vf_set(0x1.8p23f)), vf_set(0x1.8p23f)); }
/* Whole floats below 2^22 as words, and back. */
MCV_INLINE vi hvx_words(vf x) { return Q6_Vw_vsub_VwVw(vf_add(x, vf_set(0x1.8p23f)), hvx_all(0x4b400000)); }
MCV_INLINE vf hvx_floats(vi x) { return vf_sub(Q6_Vw_vadd_VwVw(x, hvx_all(0x4b400000)), vf_set(0x1.8p23f)); }
/* Any words. */
MCV_INLINE vf vf_from(vi x) {
    const vf high = hvx_floats(Q6_Vw_vasr_VwR(x, 12)), low = hvx_floats(Q6_V_vand_VV(x, hvx_all(4095)));
    return vf_fma(high, vf_set(4096.0f), low);
}
/* 2^n for whole -126 <= n <= 127. */
MCV_INLINE vf vf_pow2(vf n) { return Q6_Vw_vasl_VwR(Q6_Vw_vadd_VwVw(hvx_words(n), hvx_all(127)), 23); }
/* x / y for y >= 1: Newton's iteration, y brought below 2^64. */
MCV_INLINE vf vf_div(vf x, vf y) {
    const vf least = vf_set(0x1p64f), one = vf_set(1.0f), two = vf_set(2.0f);
    const vf scale = vf_less(y, least, one, vf_set(0x1p-64f)), d = vf_mul(y, scale);
    vf r = Q6_Vw_vsub_VwVw(hvx_all(0x7ef311c7), d);
    for (int i = 0; i < 4; i++) r = vf_mul(r, vf_sub(two, vf_mul(d, r)));
    const vf n = vf_mul(x, scale), q = vf_mul(n, r);
    return vf_fma(vf_sub(n, vf_mul(d, q)), r, q);
}
MCV_INLINE float vf_sum(vf x) {
    for (int bytes = 32; bytes >= 4; bytes /= 2) x = vf_add(x, Q6_V_vror_VR(x, bytes));
    return hvx_lane0(x);
}
MCV_INLINE float vf_top(vf x) {
    for (int bytes = 32; bytes >= 4; bytes /= 2) x = vf_max(x, Q6_V_vror_VR(x, bytes));
    return hvx_lane0(x);
}

/* Halves as words, in order. */
MCV_INLINE HVX_Vector hvx_load_halves(const uint16_t *p) { return Q6_V_lo_W(Q6_Wuw_vunpack_Vuh(hvx_load(p))); }
MCV_INLINE HVX_Vector hvx_load_bytes(const void *p) {
    return Q6_V_lo_W(Q6_Wuw_vunpack_Vuh(Q6_V_lo_W(Q6_Wuh_vunpack_Vub(hvx_load(p)))));
}
MCV_INLINE vf vf_load(const float *p) { return hvx_load(p); }
MCV_INLINE vf vf_load_n(const float *p, int n) { return vf_first(n, hvx_load(p), hvx_zero()); }
MCV_INLINE vf vf_load_bf16(const uint16_t *p) { return Q6_Vw_vasl_VwR(hvx_load_halves(p), 16); }
MCV_INLINE vf vf_load_bf16_n(const uint16_t *p, int n) { return vf_first(n, vf_load_bf16(p), hvx_zero()); }
/* Exponent and mantissa as a float's, times the difference of the biases; infinities stay large numbers. */
MCV_INLINE vf vf_load_f16(const uint16_t *p) {
    const HVX_Vector half = hvx_load_halves(p);
    const HVX_Vector sign = Q6_Vw_vasl_VwR(Q6_V_vand_VV(half, hvx_all(0x8000)), 16);
    const HVX_Vector rest = Q6_Vw_vasl_VwR(Q6_V_vand_VV(half, hvx_all(0x7fff)), 13);
    return Q6_V_vor_VV(vf_mul(rest, vf_set(0x1p112f)), sign);
}
MCV_INLINE vf vf_load_f16_n(const uint16_t *p, int n) { return vf_first(n, vf_load_f16(p), hvx_zero()); }
MCV_INLINE vf vf_load_i8(const int8_t *p) {
    return hvx_floats(Q6_Vw_vsub_VwVw(Q6_V_vxor_VV(hvx_load_bytes(p), hvx_all(128)), hvx_all(128)));
}
MCV_INLINE vf vf_load_low4(const uint8_t *p) { return hvx_floats(Q6_V_vand_VV(hvx_load_bytes(p), hvx_all(15))); }
MCV_INLINE vf vf_load_high4(const uint8_t *p) { return hvx_floats(Q6_Vw_vasr_VwR(hvx_load_bytes(p), 4)); }

/* The first `count` bytes, 1 to 128, at any address. */
MCV_INLINE void hvx_store(void *p, HVX_Vector x, uint32_t count) {
    const uint32_t before = (uint32_t)((uintptr_t)p & 127), end = before + count;
    HVX_Vector *at = (HVX_Vector *)((char *)p - before);
    x = Q6_V_vlalign_VVR(x, x, (int32_t)before);
    const HVX_VectorPred late = Q6_Q_not_Q(Q6_Q_vsetq_R((int32_t)before));
    Q6_vmem_QRIV(end < 128 ? Q6_Q_and_QQ(late, Q6_Q_vsetq_R((int32_t)end)) : late, at, x);
    if (end > 128) Q6_vmem_QRIV(Q6_Q_vsetq_R((int32_t)(end - 128)), at + 1, x);
}
MCV_INLINE void vf_store(float *p, vf x) { hvx_store(p, x, 64); }
MCV_INLINE void vf_store_n(float *p, vf x, int n) { hvx_store(p, x, (uint32_t)(4 * n)); }
MCV_INLINE void vf_store_i8(int8_t *p, vf x) {
    const HVX_Vector word = hvx_words(x), half = Q6_Vh_vpack_VwVw_sat(word, word);
    hvx_store(p, Q6_Vb_vpack_VhVh_sat(half, half), 16);
}
/* Lane i: the sum of r[i]'s lanes. */
MCV_INLINE vf vf_sums(const vf *a) {
    float lane[32] __attribute__((aligned(128)));
    for (int i = 0; i < 16; i++) lane[i] = vf_sum(a[i]);
    return vf_load(lane);
}
