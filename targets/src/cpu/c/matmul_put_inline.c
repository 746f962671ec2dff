/* Finishes and stores `count` columns from n on of row m. */
MCV_INLINE void @symbol@_finished(const mcv_call *c, @lanes@, int64_t m, int64_t n, const int count) {
    @sizes@
    @epilogue@
    vf_store@to_suffix@_n((@to@ *)MCV_ROW(@result@, m) + n, v, count);
}

/* The same as a call, as many columns as there are. */
MCV_OUTLINE void @symbol@_put(const mcv_call *c, @lanes@, int64_t m, int64_t n) {
    @sizes@
    @symbol@_finished(c, @lane_names@, m, n, mcv_count(@width@, n));
}
