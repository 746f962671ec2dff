const float *x = (const float *)MCV_ROW(0, m);
@elem@ *y = (@elem@ *)MCV_ROW(@result@, @row@);
for (int64_t n = 0; n < D; n += 16) {
    const int count = mcv_count(D, n);
    vf_store@suffix@_n(y + n, vf_load_n(x + n, count), count);
}
