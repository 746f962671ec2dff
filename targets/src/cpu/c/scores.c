const int64_t head = m / M, shared = head / (H / KV);
const float *q = (const float *)MCV_ROW(0, m % M) + head * D;
float *y = (float *)MCV_ROW(@result@, m);
for (int64_t key = 0; key < C; key++) {
    const @elem@ *k = (const @elem@ *)MCV_ROW(1, key) + shared * D;
    vf sum = vf_set(0.0f);
    for (int64_t i = 0; i < D; i += 16) {
        const int count = mcv_count(D, i);
        sum = vf_fma(vf_load_n(q + i, count), vf_load@suffix@_n(k + i, count), sum);
    }
    y[key] = SCALE * vf_sum(sum);
}
