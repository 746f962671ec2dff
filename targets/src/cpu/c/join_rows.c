float *y = (float *)MCV_ROW(@result@, m);
for (int64_t row = m * W; row < (m + 1) * W; row++, y += D) {
    for (int64_t n = 0; n < D; n += 16) {
        const int count = mcv_count(D, n);
        vf_store_n(y + n, vf_load_n((const float *)MCV_ROW(0, row) + n, count), count);
    }
}
