const float *x = (const float *)MCV_ROW(0, m);
vf total = vf_set(0.0f), squares = vf_set(0.0f);
for (int64_t n = 0; n < D; n += 16) total = vf_add(total, vf_load_n(x + n, mcv_count(D, n)));
const vf mean = vf_set(vf_sum(total) / (float)D);
for (int64_t n = 0; n < D; n += 16) {
    const int count = mcv_count(D, n);
    const vf off = vf_first(count, vf_sub(vf_load_n(x + n, count), mean), vf_set(0.0f));
    squares = vf_fma(off, off, squares);
}
const vf inverse_deviation = vf_set(1.0f / sqrtf(vf_sum(squares) / (float)D + EPS));
