const float *x = (const float *)MCV_ROW(0, m);
float *y = (float *)MCV_ROW(@result@, m);
const int64_t seen = @seen@;
const vf never = vf_set(-INFINITY), zero = vf_set(0.0f);
vf top = never, total = zero;
for (int64_t n = 0; n < seen; n += 16) {
    const int count = mcv_count(seen, n);
    top = vf_max(top, vf_first(count, vf_load_n(x + n, count), never));
}
const float most = vf_top(top);
const vf shift = vf_set(most == -INFINITY ? 0.0f : most);
for (int64_t n = 0; n < C; n += 16) {
    const int visible = n < seen ? mcv_count(seen, n) : 0;
    const vf e = vf_first(visible, vf_exp(vf_sub(vf_load_n(x + n, visible), shift)), zero);
    total = vf_add(total, e);
    vf_store_n(y + n, e, mcv_count(C, n));
}
const float sum = vf_sum(total);
const vf factor = vf_set(sum > 0.0f ? 1.0f / sum : 0.0f);
for (int64_t n = 0; n < C; n += 16) {
    const int count = mcv_count(C, n);
    vf_store_n(y + n, vf_mul(vf_load_n(y + n, count), factor), count);
}
