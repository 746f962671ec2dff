/* Words of a product for plain lanes. */
MCV_INLINE vi vi_of(HVX_Vector x) {
    vi r;
    memcpy(&r, &x, sizeof r);
    return r;
}
