/* Opens tiles 0 to 3, or 0 and 1, as zeros, or with sums that were put aside. */
MCV_INLINE void amx_open(amx_state *t, int fresh, const void *sums, const int TALL) {
    if (fresh) {
        amx_zero(t, 0);
        amx_zero(t, 1);
        if (TALL) {
            amx_zero(t, 2);
            amx_zero(t, 3);
        }
        return;
    }
    amx_load(t, 0, sums, 64);
    amx_load(t, 1, (const char *)sums + 1024, 64);
    if (TALL) {
        amx_load(t, 2, (const char *)sums + 2048, 64);
        amx_load(t, 3, (const char *)sums + 3072, 64);
    }
}
/* Puts them aside. */
MCV_INLINE void amx_close(amx_state *t, void *sums, const int TALL) {
    amx_store(t, 0, sums, 64);
    amx_store(t, 1, (char *)sums + 1024, 64);
    if (TALL) {
        amx_store(t, 2, (char *)sums + 2048, 64);
        amx_store(t, 3, (char *)sums + 3072, 64);
    }
}
