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
/* Sums of a group begin at these bits. As a float such a sum is 1.5 * 2^23 more than it is as a whole number, with no
   conversion: exact while it stays below 2^22, and a group's is at most 255 * 127 * 128. */
#define MCV_BEGIN 0x4B400000
/* A scale without its two last bits, so that 1.5 * 2^23 times it is exact too. */
MCV_INLINE float octet_scale(float s) {
    uint32_t bits;
    memcpy(&bits, &s, 4);
    bits &= ~3u;
    memcpy(&s, &bits, 4);
    return s;
}
/* What the product with a sum's float is too much. */
MCV_INLINE float octet_excess(float scale) { return -12582912.0f * scale; }
/* A sum times the scale of x: exact but for one rounding. */
MCV_INLINE float32x4_t octet_scaled(int32x4_t sum, float32x4_t scale, float32x4_t excess) {
    return vfmaq_f32(excess, vreinterpretq_f32_s32(sum), scale);
}
/* Four channels of two octets. */
MCV_INLINE int32x4_t octet_fold(int32x4_t low, int32x4_t high) { return vpaddq_s32(low, high); }

/* A value the compiler can't look into: it would take a product with 16 apart into a shift and a difference. */
#define MCV_OPAQUE(v) __asm__("" : "+w"(v))
/* No load moves up over what makes `v` and `w`: so many at once would spill registers. */
#define MCV_IN_TURN(v, w) __asm__ volatile("" : "+w"(v), "+w"(w) : : "memory")
