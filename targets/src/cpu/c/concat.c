for (int64_t n = 0; n < D@i@; n += 16) {
    const int count = mcv_count(D@i@, n);
    vf_store_n(y + n, vf_load_n((const float *)MCV_ROW(@i@, m) + n, count), count);
}
y += D@i@;
