/* softmax causal f32 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t H = 3;
    const int64_t M = c->dim[1];
    return mcv_div_up(H * M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t H = 3;
    const int64_t M = c->dim[1];
    const int64_t C = c->dim[2];
    const int64_t last = mcv_min(H * M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const float *x = (const float *)MCV_ROW(0, m);
        float *y = (float *)MCV_ROW(1, m);
        const int64_t seen = mcv_min(C, m % M + C - M + 1);
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
    }
}
