for (int64_t head = 0; head < H; head++) {
    const float *p = (const float *)MCV_ROW(0, head * M + m);
    float *y = (float *)MCV_ROW(@result@, m) + head * D;
    for (int64_t i = 0; i < D; i += 16) {
        const int count = mcv_count(D, i);
        vf sum = vf_set(0.0f);
        for (int64_t key = 0; key < C; key++) {
            const @elem@ *v = (const @elem@ *)MCV_ROW(1, key) + head / (H / KV) * D;
            sum = vf_fma(vf_set(p[key]), vf_load@suffix@_n(v + i, count), sum);
        }
        vf_store_n(y + i, sum, count);
    }
}
