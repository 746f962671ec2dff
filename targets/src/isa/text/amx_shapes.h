/* Tiles of AMX-INT8. 0: 16x16 sums, 1: 16 rows of signed activations, 2: a panel's unsigned weights.
   State is per thread: shapes are set at a kernel's start and released at its end. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} amx_shapes;

/* Tiles for groups of `depth` values, depth <= 64 and a multiple of 4. */
MCV_INLINE amx_shapes amx_shapes_for(int depth) {
    amx_shapes s = {1, 0, {0}, {64, (uint16_t)depth, 64}, {16, 16, (uint8_t)(depth / 4)}};
    return s;
}
MCV_INLINE vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
MCV_INLINE vi vi_add(vi x, vi y) { return _mm512_add_epi32(x, y); }
MCV_INLINE void vb_store(void *p, vb x) { _mm512_storeu_si512(p, x); }
