const int half_head = @head@ / 2;
const __global uchar *x = MCV_ROW(0, m), *table = MCV_ROW(1, m);
__global uchar *y = MCV_ROW(@result@, @to@);
for (int pair = begin / 2 + lane; pair < end / 2; pair += 64) {
    const int i = pair % half_head, n = pair / half_head * 2 * half_head + i;
    const float co = mcv_f32(table, i), si = mcv_f32(table, half_head + i);
    const float low = mcv_f32(x, n), high = mcv_f32(x, n + half_head);
    mcv_put_@elem@(y, n, low * co - high * si);
    mcv_put_@elem@(y, n + half_head, high * co + low * si);
}
