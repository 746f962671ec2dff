/* Assembly, because some compilers' intrinsics name 8 of the 64 bytes that `ldtilecfg` reads. Tiles are named by a
   literal number. */
typedef int amx_state;
MCV_INLINE void amx_configure(amx_state *t, const amx_shapes *s) {
    (void)t;
    __asm__ volatile("ldtilecfg %0" ::"m"(*s));
}
MCV_INLINE void amx_release(amx_state *t) { (void)t; __asm__ volatile("tilerelease" ::: "memory"); }
#define amx_zero(t, sum) __asm__ volatile("tilezero %%tmm" #sum :::)
#define amx_load(t, tile, p, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"((const void *)(p)), "r"((int64_t)(stride)) : "memory")
#define amx_store(t, tile, p, stride) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"((void *)(p)), "r"((int64_t)(stride)) : "memory")
/* sum += rows * panel: signed times unsigned. */
#define amx_dot_unsigned(t, sum, rows, panel) __asm__ volatile("tdpbsud %%tmm" #panel ", %%tmm" #rows ", %%tmm" #sum :::)
/* The same of pairs of bf16, summed as f32. */
#define amx_dot_bf16(t, sum, rows, panel) __asm__ volatile("tdpbf16ps %%tmm" #panel ", %%tmm" #rows ", %%tmm" #sum :::)
