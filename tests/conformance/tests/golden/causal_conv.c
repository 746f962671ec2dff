/* causal_conv f32 f32 f32 i32 {} -> f32 */
/* A unit: 64 columns of all rows, and of the rows before them. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t D = 100;
    return mcv_div_up(D, 64);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 100;
    const int64_t K = 4;
    const int begins = *(const int32_t *)c->arg[3].data == 0;
    const int64_t last = mcv_min(D, end * 64);
    for (int64_t n = begin * 64; n < last; n += 16) {
        const int count = mcv_count(D, n);
        for (int64_t m = 0; m < M; m++) {
            vf sum = vf_set(0.0f);
            for (int64_t k = begins && m < K - 1 ? K - 1 - m : 0; k < K; k++) {
                const int64_t row = m - K + 1 + k;
                const char *x = row < 0 ? MCV_ROW(2, K - 1 + row) : MCV_ROW(0, row);
                const vf tap = vf_load_n((const float *)MCV_ROW(1, k) + n, count);
                sum = vf_fma(vf_load_n((const float *)x + n, count), tap, sum);
            }
            vf_store_n((float *)MCV_ROW(4, m) + n, sum, count);
        }
        for (int64_t k = 0; k < K - 1; k++) { /* a row moves towards the front only */
            const int64_t row = M - K + 1 + k;
            const char *x = row < 0 ? MCV_ROW(2, K - 1 + row) : MCV_ROW(0, row);
            const vf kept = row < 0 && begins ? vf_set(0.0f) : vf_load_n((const float *)x + n, count);
            vf_store_n((float *)MCV_ROW(2, k) + n, kept, count);
        }
    }
}
