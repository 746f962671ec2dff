/* Brings near where rows m to m + live of panels p to `p_end` will be stored: stores in a row wait for each other. */
MCV_INLINE void @symbol@_expect(const mcv_call *c, int64_t m, int live, int64_t p, int64_t p_end) {
    for (int r = 0; r < live; r++)
        for (int64_t i = p; i < p_end; i++) MCV_PREFETCH(MCV_ROW(@result@, m + r) + @panel_bytes@ * i);
}
