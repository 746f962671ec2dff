/* Finishes and stores columns n.. of row m: called once per sum over all of K, by every tile. */
MCV_OUTLINE void @symbol@_put(const mcv_call *c, @lanes@, int64_t m, int64_t n) {
    @sizes@
    const int count = mcv_count(@width@, n);
    @epilogue@
    vf_store@to_suffix@_n((@to@ *)MCV_ROW(@result@, m) + n, v, count);
}
