/* gated_silu gated silu f32 {quantize/32} -> q8/32@summed */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 96;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const float *x = (const float *)MCV_ROW(0, m);
        int8_t *y = (int8_t *)MCV_ROW(1, m);
        const int64_t groups = mcv_div_up(D / 2, 32);
        float *scales = (float *)(y + groups * 32);
        const vf zero = vf_set(0.0f);
        for (int64_t b = 0; b < groups; b++) {
            vf part[2], top = zero, sum = zero;
            MCV_UNROLL for (int i = 0; i < 2; i++) {
                const int64_t n = b * 32 + i * 16;
                part[i] = zero;
                if (n < D / 2) {
                    const int count = mcv_count(D / 2, n);
                    vf v = vf_load_n(x + n, count);
                    v = vf_mul(vf_silu(v), vf_load_n(x + D / 2 + n, count));
                    part[i] = vf_first(count, v, zero);
                }
                top = vf_max(top, vf_abs(part[i]));
            }
            const float most = vf_top(top);
            const vf inverse = vf_set(most > 1e-36f ? 127.0f / most : 0.0f);
            MCV_UNROLL for (int i = 0; i < 2; i++) {
                const vf q = vf_max(vf_set(-127.0f), vf_min(vf_set(127.0f), vf_round(vf_mul(part[i], inverse))));
                vf_store_i8(y + b * 32 + i * 16, q);
                sum = vf_add(sum, q);
            }
            scales[b] = most / 127.0f;
            scales[groups + b] = scales[b] * vf_sum(sum);
        }
    }
}
