/* A unit: @block@ rows. */
MCV_API int64_t @symbol@_units(const mcv_call *c) {
    @sizes@
    return mcv_div_up(@rows@, @block@);
}

MCV_API void @symbol@(const mcv_call *c, int64_t begin, int64_t end) {
    @sizes@
    const int64_t last = mcv_min(@rows@, end * @block@);
    for (int64_t m = begin * @block@; m < last; m++) {
        @body@
    }
}
