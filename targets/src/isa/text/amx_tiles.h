/* Assembly, because some compilers' intrinsics name 8 of the 64 bytes that `ldtilecfg` reads. */
typedef int amx_state;
MCV_INLINE void amx_configure(amx_state *t, const amx_shapes *s) {
    (void)t;
    __asm__ volatile("ldtilecfg %0" ::"m"(*s));
}
MCV_INLINE void amx_release(amx_state *t) { (void)t; __asm__ volatile("tilerelease" ::: "memory"); }
MCV_INLINE void amx_zero(amx_state *t) { (void)t; __asm__ volatile("tilezero %%tmm0" :::); }
MCV_INLINE void amx_load_rows(amx_state *t, const void *p, int64_t stride) {
    (void)t;
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm1" ::"r"(p), "r"(stride) : "memory");
}
MCV_INLINE void amx_load_panel(amx_state *t, const void *p) {
    (void)t;
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm2" ::"r"(p), "r"((int64_t)64) : "memory");
}
/* 0 += 1 * 2, signed times unsigned. */
MCV_INLINE void amx_dot(amx_state *t) { (void)t; __asm__ volatile("tdpbsud %%tmm2, %%tmm1, %%tmm0" :::); }
MCV_INLINE void amx_store(amx_state *t, int32_t *p) {
    (void)t;
    __asm__ volatile("tilestored %%tmm0, (%0,%1,1)" ::"r"(p), "r"((int64_t)64) : "memory");
}
