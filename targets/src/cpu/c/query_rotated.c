const int64_t half = D / 2;
const float *table = (const float *)MCV_ROW(3, r / G);
for (int64_t i = 0; i < half; i += 16) {
    const int count = mcv_count(half, i);
    const vf co = vf_load_n(table + i, count), si = vf_load_n(table + half + i, count);
    const vf low = vf_load_n(q + i, count), high = vf_load_n(q + half + i, count);
    vf_store_n(to + i, vf_mul(scale, vf_sub(vf_mul(low, co), vf_mul(high, si))), count);
    vf_store_n(to + half + i, vf_mul(scale, vf_fma(high, co, vf_mul(low, si))), count);
}
