const int64_t half = @head@ / 2;
const float *table = (const float *)MCV_ROW(1, m);
for (int64_t head = 0; head < D; head += 2 * half) {
    const float *x = (const float *)MCV_ROW(0, m) + head;
    @elem@ *y = (@elem@ *)MCV_ROW(@result@, @row@) + head;
    for (int64_t i = 0; i < half; i += 16) {
        const int count = mcv_count(half, i);
        const vf co = vf_load_n(table + i, count), si = vf_load_n(table + half + i, count);
        const vf low = vf_load_n(x + i, count), high = vf_load_n(x + half + i, count);
        vf_store@suffix@_n(y + i, vf_sub(vf_mul(low, co), vf_mul(high, si)), count);
        vf_store@suffix@_n(y + half + i, vf_fma(high, co, vf_mul(low, si)), count);
    }
}
