const float *x = (const float *)MCV_ROW(0, m);
vf squares = vf_set(0.0f);
for (int64_t n = 0; n < D; n += 16) {
    const vf part = vf_load_n(x + n, mcv_count(D, n));
    squares = vf_fma(part, part, squares);
}
const vf inverse_root = vf_set(1.0f / sqrtf(vf_sum(squares) / (float)D + EPS));
