/* mcv launch k0 local 64 1 1 groups d1/256 d0 1 */
/* gather q4/32 i32 {} -> f32 */
/* A group of 64 items: 256 columns of a row. */
MCV_KERNEL(64) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1,
    __global uchar *b2, const ulong o2, const long s2,
    const int d0,
    const int d1,
    const int d2) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global uchar *a2 = b2 + o2;
    const int D = 64;
    const int R = 9;
    const int lane = get_local_id(0), m = get_group_id(1);
    const int begin = (int)get_group_id(0) * 256, end = min(begin + 256, D);
    const int id = clamp(((__global const int *)a1)[m], 0, R - 1);
    const __global uchar *x = MCV_ROW(0, id);
    for (int n = begin + lane; n < end; n += 64) {
        float v = mcv_q4(x, (D + 32 - 1) / 32, 32, n);
        mcv_put_f32(MCV_ROW(2, m), n, v);
    }
}
