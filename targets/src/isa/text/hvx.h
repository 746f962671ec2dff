/* Integer products on 128-byte vectors: one vector holds 8 k of 16 channels, as the panels store them. */
#define HVX_UNROLL _Pragma("unroll")

/* x[0..8], over and over; x lies at a multiple of 4. */
MCV_INLINE HVX_Vector hvx_eight(const int8_t *x) {
    const int32_t *four = (const int32_t *)x;
    return Q6_V_lo_W(Q6_W_vshuff_VVR(Q6_V_vsplat_R(four[1]), Q6_V_vsplat_R(four[0]), -4));
}
/* Word 2n: plus w[8n..8n+4] times x[0..4]; word 2n + 1: plus the other four. */
MCV_INLINE HVX_Vector hvx_dot(HVX_Vector sum, HVX_Vector w, HVX_Vector x) { return Q6_Vw_vrmpyacc_VwVubVb(sum, w, x); }
/* Lane n: words 2n and 2n + 1, less `zero`. */
MCV_INLINE vi hvx_fold(HVX_Vector sum, int32_t zero) {
    const HVX_VectorPair halves = Q6_W_vdeal_VVR(sum, sum, -4);
    const HVX_Vector both = Q6_Vw_vadd_VwVw(Q6_V_lo_W(halves), Q6_V_hi_W(halves));
    return vi_of(Q6_Vw_vsub_VwVw(both, Q6_V_vsplat_R(zero)));
}

/* Tightly coupled memory, as much as the program was given; one call at a time uses it. */
static char *hvx_near;
static uint32_t hvx_near_bytes;
/* The rows that all panels are multiplied with, `wide` bytes each, copied near where they fit: every block of panels
   reads them again. */
MCV_INLINE mcv_call hvx_fetch(const mcv_call *c, mcv_arg *arg, int count, int64_t rows, int64_t wide) {
    const int64_t bytes = (rows - 1) * c->arg[0].stride + wide;
    for (int i = 0; i < count; i++) arg[i] = c->arg[i];
    if (rows > 0 && bytes <= hvx_near_bytes) {
        const HVX_UVector *from = (const HVX_UVector *)c->arg[0].data;
        for (int64_t i = 0; i < bytes / 128; i++) ((HVX_Vector *)hvx_near)[i] = from[i];
        for (int64_t i = bytes / 128 * 128; i < bytes; i++) hvx_near[i] = c->arg[0].data[i];
        arg[0].data = hvx_near;
    }
    const mcv_call near = {arg, c->dim, c->scalar};
    return near;
}
