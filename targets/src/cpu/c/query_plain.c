for (int64_t i = 0; i < D; i += 16) {
    const int count = mcv_count(D, i);
    vf_store_n(to + i, vf_mul(vf_load@asked_suffix@_n(q + i, count), scale), count);
}
