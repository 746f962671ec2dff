/* `sdot`. 8-bit weights are made signed, so their zero is 0. */
#define MCV_ZERO8 0
MCV_INLINE uint8x16_t octet_bytes(uint8x16_t raw) { return veorq_u8(raw, vdupq_n_u8(128)); }
MCV_INLINE int32x4_t octet_signed(int32x4_t sum, int8x16_t w, int8x16_t x) { return vdotq_s32(sum, w, x); }
MCV_INLINE int32x4_t octet_dot(int32x4_t sum, uint8x16_t w, int8x16_t x) {
    return octet_signed(sum, vreinterpretq_s8_u8(w), x);
}
