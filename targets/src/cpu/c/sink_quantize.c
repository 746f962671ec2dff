int8_t *y = (int8_t *)MCV_ROW(@result@, m);
const int64_t groups = mcv_div_up(@width@, @group@);
float *scales = (float *)(y + groups * @group@);
const vf zero = vf_set(0.0f);
for (int64_t b = 0; b < groups; b++) {
    vf part[@parts@], top = zero, sum = zero;
    MCV_UNROLL for (int i = 0; i < @parts@; i++) {
        const int64_t n = b * @group@ + i * 16;
        part[i] = zero;
        if (n < @width@) {
            const int count = mcv_count(@width@, n);
            vf v = @value@;
            @epilogue@
            part[i] = vf_first(count, v, zero);
        }
        top = vf_max(top, vf_abs(part[i]));
    }
    const float most = vf_top(top);
    const vf inverse = vf_set(most > 1e-36f ? 127.0f / most : 0.0f);
    MCV_UNROLL for (int i = 0; i < @parts@; i++) {
        const vf q = vf_max(vf_set(-127.0f), vf_min(vf_set(127.0f), vf_round(vf_mul(part[i], inverse))));
        vf_store_i8(y + b * @group@ + i * 16, q);
        sum = vf_add(sum, q);
    }
    scales[b] = most / 127.0f;
    scales[groups + b] = scales[b] * vf_sum(sum);
}
