/* 32 rows of values as halves of `wide`, zeros around. */
MCV_INLINE void @symbol@_values(uint16_t *to, const char *p, int64_t stride, int64_t count, int64_t D, int64_t wide) {
    for (int r = 0; r < 32; r++)
        for (int64_t i = 0; i < wide; i += 16)
            vh_store(to + r * wide + i, r < count ? vh_load@suffix@_n((const @elem@ *)(p + r * stride) + i, mcv_count(D, i)) : vh_zero());
}

/* 4 rows, VECTORS times 16 columns: adds 32 values weighted by s, summed in half precision. */
MCV_INLINE void @symbol@_add(const float *s, float *out, const uint16_t *values, int64_t wide, const int VECTORS) {
    vh sum[4][2];
    MCV_UNROLL for (int i = 0; i < 4; i++)
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = vh_zero();
    for (int j = 0; j < 32; j += 8) {
        float16x8_t weight[4];
        MCV_UNROLL for (int i = 0; i < 4; i++) weight[i] = vh_narrow8(s + i * 64 + j);
        MCV_UNROLL for (int k = 0; k < 8; k++) {
            vh part[2];
            MCV_UNROLL for (int v = 0; v < VECTORS; v++) part[v] = vh_load(values + (j + k) * wide + 16 * v);
            MCV_UNROLL for (int i = 0; i < 4; i++)
                MCV_UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = vh_fma(weight[i][k], part[v], sum[i][v]);
        }
    }
    MCV_UNROLL for (int i = 0; i < 4; i++)
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) {
            float *to = out + i * wide + 16 * v;
            vf_store(to, vf_add(vf_load(to), vf_widen(sum[i][v])));
        }
}

/* Adds the values of 64 keys from `first` on, weighted by s. */
MCV_INLINE void @symbol@_mix(const mcv_call *c, const float *s, float *out, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 16) * 16;
    MCV_ALIGNED uint16_t values[32 * @wide@];
    for (int64_t key = 0; key < 64 && first + key < seen; key += 32) {
        @symbol@_values(values, MCV_ROW(2, first + key) + shared * D * @size@, c->arg[2].stride, seen - first - key, D, wide);
        for (int r = 0; r < rows; r += 4) {
            int64_t i = 0;
            for (; i + 32 <= wide; i += 32) @symbol@_add(s + r * 64 + key, out + r * wide + i, values + i, wide, 2);
            for (; i < wide; i += 16) @symbol@_add(s + r * 64 + key, out + r * wide + i, values + i, wide, 1);
        }
    }
}
