/* Products on panels 8 deep: a register holds 8 k of two channels. Sums of an octet's two channels lie in four lanes:
   each channel's low and high four apart. */

/* 8 activations, twice. */
MCV_INLINE int8x16_t octet_load(const int8_t *x) { return vreinterpretq_s8_s64(vld1q_dup_s64((const int64_t *)(const void *)x)); }
MCV_INLINE uint8x16_t octet_low4(uint8x16_t raw) { return vandq_u8(raw, vdupq_n_u8(15)); }
MCV_INLINE uint8x16_t octet_high4(uint8x16_t raw) { return vshrq_n_u8(raw, 4); }
/* Minus `zero` times the sum of 8 activations, added to each channel. */
MCV_INLINE int32x4_t octet_shift(int32x4_t sum, int8x16_t x, int zero) {
    return octet_signed(sum, vdupq_n_s8((int8_t)-zero), x);
}
/* Four channels of two octets. */
MCV_INLINE float32x4_t octet_fold(int32x4_t low, int32x4_t high) { return vcvtq_f32_s32(vpaddq_s32(low, high)); }
