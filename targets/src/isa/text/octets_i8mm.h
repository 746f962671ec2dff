/* `usdot`, and `usmmla`: two channels times two rows. Weights stay unsigned. */
#define MCV_ZERO8 128
MCV_INLINE uint8x16_t octet_bytes(uint8x16_t raw) { return raw; }
MCV_INLINE int32x4_t octet_signed(int32x4_t sum, int8x16_t w, int8x16_t x) { return vdotq_s32(sum, w, x); }
MCV_INLINE int32x4_t octet_dot(int32x4_t sum, uint8x16_t w, int8x16_t x) { return vusdotq_s32(sum, w, x); }

/* 8 activations of one row, then 8 of another. */
MCV_INLINE int8x16_t rows_load(const int8_t *x, const int8_t *y) { return vcombine_s8(vld1_s8(x), vld1_s8(y)); }
/* Lanes: first channel and row x, first and y, second and x, second and y. */
MCV_INLINE int32x4_t rows_dot(int32x4_t sum, uint8x16_t w, int8x16_t x) { return vusmmlaq_s32(sum, w, x); }
MCV_INLINE int32x4_t rows_shift(int32x4_t sum, int8x16_t x, int zero) { return vmmlaq_s32(sum, vdupq_n_s8((int8_t)-zero), x); }
