/* Tiles of AMX. 0 to 3: 16x16 sums, of the upper and the lower rows times the left and the right panel;
   4, 5: up to 16 rows of activations each, upper and lower; 6, 7: two panels' weights.
   State is per thread: shapes are set before the first tile instruction and released at a kernel's end. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} amx_shapes;

/* Tiles for 1 to 32 rows and `depth` values at a time, depth <= 64 and a multiple of 4. */
MCV_INLINE amx_shapes amx_shapes_for(int depth, int rows) {
    const uint8_t upper = (uint8_t)(rows < 16 ? rows : 16), lower = rows > 16 ? (uint8_t)(rows - 16) : upper;
    const uint16_t wide = (uint16_t)depth;
    const uint8_t high = (uint8_t)(depth / 4);
    amx_shapes s = {1, 0, {0}, {64, 64, 64, 64, wide, wide, 64, 64}, {upper, upper, lower, lower, upper, lower, high, high}};
    return s;
}
MCV_INLINE vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
MCV_INLINE vi vi_add(vi x, vi y) { return _mm512_add_epi32(x, y); }
MCV_INLINE void vb_store(void *p, vb x) { _mm512_storeu_si512(p, x); }
MCV_INLINE vi vi_down(vi x, int bits) { return _mm512_srli_epi32(x, bits); }
MCV_INLINE vi vi_up(vi x, int bits) { return _mm512_slli_epi32(x, bits); }
/* bf16 by rounding halves up, and what rounding left: of 32 values; of two rows' values in turns. */
MCV_INLINE vi bf_round(vf x) { return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000)); }
MCV_INLINE vf bf_rest(vf x, vi rounded) {
    return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32((int)0xFFFF0000))));
}
MCV_INLINE vi bf_join(vi x, vi y) {
    static const MCV_ALIGNED uint16_t upper[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                   33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    return _mm512_permutex2var_epi16(x, vb_load(upper), y);
}
MCV_INLINE void bf_split(uint16_t *first, uint16_t *rest, vf low, vf high) {
    const vi x = bf_round(low), y = bf_round(high);
    vb_store(first, bf_join(x, y));
    vb_store(rest, bf_join(bf_round(bf_rest(low, x)), bf_round(bf_rest(high, y))));
}
MCV_INLINE vi bf_blend(vi even, vi odd) { return _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(even, 16), odd); }
/* bf16 of memory: the first n of 32, zeros behind; as 16 lanes of pairs; of two rows' first 16 in turns. */
MCV_INLINE vb bf_load(const uint16_t *p, int64_t n) {
    return _mm512_maskz_loadu_epi16(n >= 32 ? 0xFFFFFFFFu : (1u << n) - 1, p);
}
MCV_INLINE vf bf_as_lanes(vb x) { return _mm512_castsi512_ps(x); }
MCV_INLINE vb bf_in_turns(vb x, vb y) {
    static const MCV_ALIGNED uint16_t order[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                   8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    return _mm512_permutex2var_epi16(x, vb_load(order), y);
}
MCV_INLINE void bf_pairs(uint16_t *first, uint16_t *rest, vf even, vf odd) {
    const vi x = bf_round(even), y = bf_round(odd);
    vb_store(first, bf_blend(x, y));
    vb_store(rest, bf_blend(bf_round(bf_rest(even, x)), bf_round(bf_rest(odd, y))));
}
/* Each lane's four values times its scale, as two rows of pairs. A value's bits become the last ones of a float, of
   2^7 for 4 bits and of 2^15 for 8; `less` is what that and the format's zero make too much, times scale. */
MCV_INLINE void bf_quads(uint16_t *to, const vi *bits, vf scale, vf less) {
    vf v[4];
    MCV_UNROLL for (int i = 0; i < 4; i++) v[i] = vf_fma(_mm512_castsi512_ps(bits[i]), scale, less);
    vb_store(to, bf_blend(bf_round(v[0]), bf_round(v[1])));
    vb_store(to + 32, bf_blend(bf_round(v[2]), bf_round(v[3])));
}
MCV_INLINE vi mcv_and_or(vi x, int mask, int bits) {
    return _mm512_ternarylogic_epi32(x, vi_set(mask), vi_set(bits), 0xEA);
}
MCV_INLINE void bf_nibbles(uint16_t *to, vb raw, vf scale, vf less) {
    vi bits[4] = {vi_up(raw, 16), vi_up(raw, 8), raw, vi_down(raw, 8)};
    MCV_UNROLL for (int i = 0; i < 4; i++) bits[i] = mcv_and_or(bits[i], 0x000F0000, 0x43000000);
    bf_quads(to, bits, scale, less);
}
MCV_INLINE void bf_bytes(uint16_t *to, vb raw, vf scale, vf less) {
    vi bits[4] = {vi_up(raw, 8), raw, vi_down(raw, 8), vi_down(raw, 16)};
    MCV_UNROLL for (int i = 0; i < 4; i++) bits[i] = mcv_and_or(bits[i], 0x0000FF00, 0x47000000);
    bf_quads(to, bits, scale, less);
}
/* 2^x, 3e-6 relative: minimax polynomial of degree 4 between -1/2 and 1/2; 0 far below. */
MCV_INLINE vf vf_power(vf x) {
    const vf n = vf_round(x), r = vf_sub(x, n);
    vf p = vf_fma(vf_set(9.5701022e-3f), r, vf_set(5.5917859e-2f));
    p = vf_fma(p, r, vf_set(2.4024744e-1f));
    p = vf_fma(p, r, vf_set(6.9312179e-1f));
    return _mm512_scalef_ps(vf_fma(p, r, vf_set(9.9999928e-1f)), n);
}
/* The same, 8e-5 relative, by degree 3: for what is rounded to bf16. */
MCV_INLINE vf vf_power_rough(vf x) {
    const vf n = vf_round(x), r = vf_sub(x, n);
    vf p = vf_fma(vf_set(5.517167e-2f), r, vf_set(0.24261113f));
    p = vf_fma(p, r, vf_set(0.69326097f));
    return _mm512_scalef_ps(vf_fma(p, r, vf_set(0.99992806f)), n);
}
