int8_t *y = (int8_t *)MCV_ROW(@result@, m);
const int64_t group = @group@, groups = mcv_div_up(@width@, group);
float *scales = (float *)(y + groups * group);
const vf zero = vf_set(0.0f);
for (int64_t b = 0; b < groups; b++) {
    const int64_t first = b * group, end = mcv_min(@width@, first + group);
    vf top = zero, sum = zero;
    for (int64_t n = first; n < end; n += 16) {
        const int count = mcv_count(end, n);
        vf v = @value@;
        @epilogue@
        top = vf_max(top, vf_abs(vf_first(count, v, zero)));
    }
    const float most = vf_top(top);
    const vf inverse = vf_set(most > 1e-36f ? 127.0f / most : 0.0f);
    for (int64_t n = first; n < first + group; n += 16) {
        vf q = zero;
        if (n < end) {
            const int count = mcv_count(end, n);
            vf v = @value@;
            @epilogue@
            q = vf_max(vf_set(-127.0f), vf_min(vf_set(127.0f), vf_round(vf_mul(vf_first(count, v, zero), inverse))));
        }
        vf_store_i8(y + n, q);
        sum = vf_add(sum, q);
    }
    scales[b] = most / 127.0f;
    scales[groups + b] = scales[b] * vf_sum(sum);
}
