/* Finishes and stores columns n.. of row m. */
MCV_INLINE void @symbol@_put(const mcv_call *c, @lanes@, int64_t m, int64_t n) {
    @sizes@
    const int count = mcv_count(@width@, n);
    @epilogue@
    vf_store_n((float *)MCV_ROW(@result@, m) + n, v, count);
}
