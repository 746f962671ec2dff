const int64_t d = D / G;
for (int64_t part = 0; part < G; part++) {
    const float *x = (const float *)MCV_ROW(0, m) + part * d;
    float *y = (float *)MCV_ROW(@result@, m) + part * d;
    vf squares = vf_set(0.0f);
    for (int64_t i = 0; i < d; i += 16) {
        const vf v = vf_load_n(x + i, mcv_count(d, i));
        squares = vf_fma(v, v, squares);
    }
    const vf inverse_root = vf_set(1.0f / sqrtf(vf_sum(squares) / (float)d + EPS));
    for (int64_t i = 0; i < d; i += 16) {
        const int64_t n = part * d + i;
        const int count = mcv_count(d, i);
        vf v = vf_mul(vf_mul(vf_load_n(x + i, count), inverse_root), @gain@);
        (void)n;
        @epilogue@
        vf_store_n(y + i, v, count);
    }
}
