/* Values n..n+16 of a quantized row: groups share an f16 scale; a 4-bit group keeps its first half in the low nibbles.
   Tables that are matrices of products too lie in panels of 16 rows, `depth` values of each row at a time. */
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
MCV_INLINE vf vf_load_panel_q8(const char *table, int64_t id, int64_t width, int64_t n, int64_t group, int depth) {
    const char *panel = table + (id / 16 * mcv_div_up(width, group) + n / group) * (32 + 16 * group);
    const uint8_t *bytes = (const uint8_t *)panel + 32 + id % 16 * depth;
    float v[16];
    for (int i = 0; i < 16; i++) {
        const int64_t at = n % group + i;
        v[i] = (float)bytes[at / depth * 16 * depth + at % depth] - 128.0f;
    }
    return vf_mul(vf_load(v), mcv_scale(panel, id % 16));
}
MCV_INLINE vf vf_load_panel_q4(const char *table, int64_t id, int64_t width, int64_t n, int group, int depth) {
    const char *panel = table + (id / 16 * mcv_div_up(width, group) + n / group) * (32 + 8 * group);
    const uint8_t *bytes = (const uint8_t *)panel + 32 + id % 16 * depth;
    const int half = group / 2, shift = n % group < half ? 0 : 4;
    float v[16];
    for (int i = 0; i < 16; i++) {
        const int64_t at = n % half + i;
        v[i] = (float)(bytes[at / depth * 16 * depth + at % depth] >> shift & 15) - 8.0f;
    }
    return vf_mul(vf_load(v), mcv_scale(panel, id % 16));
}
