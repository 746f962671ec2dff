/* mcv launch k0 local 64 1 1 groups d1/256 d0 1 */
/* store f32 f32 {} -> f16 */
/* A group of 64 items: 256 columns of a row. */
MCV_KERNEL(64) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1,
    __global uchar *b2, const ulong o2, const long s2,
    const int d0,
    const int d1,
    const int d2,
    const int d3) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global uchar *a2 = b2 + o2;
    const int D = 144;
    const int T = 72;
    const int AT = d3;
    const int lane = get_local_id(0), m = get_group_id(1);
    const int begin = (int)get_group_id(0) * 256, end = min(begin + 256, D);
    const int half_head = T / 2;
    const __global uchar *x = MCV_ROW(0, m), *table = MCV_ROW(1, m);
    __global uchar *y = MCV_ROW(2, AT + m);
    for (int pair = begin / 2 + lane; pair < end / 2; pair += 64) {
        const int i = pair % half_head, n = pair / half_head * 2 * half_head + i;
        const float co = mcv_f32(table, i), si = mcv_f32(table, half_head + i);
        const float low = mcv_f32(x, n), high = mcv_f32(x, n + half_head);
        mcv_put_f16(y, n, low * co - high * si);
        mcv_put_f16(y, n + half_head, high * co + low * si);
    }
}
