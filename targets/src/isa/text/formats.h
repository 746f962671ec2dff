/* Values n..n+16 of a quantized row: groups share an f16 scale; a 4-bit group keeps its first half in the low nibbles. */
MCV_INLINE vf mcv_scale(const char *scales, int64_t at) {
    return vf_set(vf_sum(vf_load_f16_n((const uint16_t *)scales + at, 1)));
}
MCV_INLINE vf vf_load_q8(const char *row, int64_t width, int64_t n, int64_t group) {
    const char *scales = row + mcv_div_up(width, group) * group;
    return vf_mul(vf_load_i8((const int8_t *)row + n), mcv_scale(scales, n / group));
}
MCV_INLINE vf vf_load_q4(const char *row, int64_t width, int64_t n, int group) {
    const char *scales = row + mcv_div_up(width, group) * group / 2;
    const int64_t at = n % group, half = group / 2;
    const uint8_t *bytes = (const uint8_t *)row + n / group * half;
    const vf value = at < half ? vf_load_low4(bytes + at) : vf_load_high4(bytes + at - half);
    return vf_mul(vf_sub(value, vf_set(8.0f)), mcv_scale(scales, n / group));
}
