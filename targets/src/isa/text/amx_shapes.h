/* Tiles of AMX-INT8. 0 to 3: 16x16 sums, of the upper and the lower rows times the left and the right panel;
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
MCV_INLINE vb vb_less(vb x, int n) { return _mm512_sub_epi8(x, _mm512_set1_epi8((char)n)); }
