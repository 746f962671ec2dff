/* Half precision and bf16 in plain C. */
MCV_INLINE float mcv_bits(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
MCV_INLINE float mcv_f16_to_f32(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) return mcv_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    if (rest >= 0x0400) return mcv_bits(sign | ((rest << 13) + 0x38000000));
    const float tiny = (float)rest * 0x1p-24f;
    return sign ? -tiny : tiny;
}
/* Round to nearest even. */
MCV_INLINE uint16_t mcv_f32_to_f16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    const uint32_t sign = u >> 16 & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (u >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (u < 0x38800000) {
        const float shifted = mcv_bits(u) + 0.5f; /* the ulp of [0.5, 1) is 2^-24, the smallest half */
        memcpy(&u, &shifted, 4);
        return (uint16_t)(sign | (u - 0x3f000000));
    }
    return (uint16_t)(sign | (u - 0x38000000 + 0xfff + (u >> 13 & 1)) >> 13);
}
MCV_INLINE uint16_t mcv_f32_to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
