MCV_INLINE void @symbol@_rows(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, int64_t end) {
    @row_loops@
}

/* A unit: up to @block_m@ rows times up to @block_n@ panels. */
MCV_API int64_t @symbol@_units(const mcv_call *c) {
    @sizes@
    return mcv_div_up(M, @block_m@) * mcv_div_up(@all_panels@, @block_n@);
}

MCV_API void @symbol@(const mcv_call *c, int64_t begin, int64_t end) {
    @sizes@
    const int64_t panels = @all_panels@, across = mcv_div_up(panels, @block_n@);
    @begin@
    for (int64_t u = begin; u < end; u++) {
        const int64_t down = @down@, right = @right@;
        int64_t m = down * @block_m@;
        const int64_t m_end = mcv_min(M, m + @block_m@);
        const int64_t p_end = mcv_min(panels, (right + 1) * @block_n@);
        int64_t p = right * @block_n@;
        @tiled@
        @panel_loops@
    }
    @end@
}
