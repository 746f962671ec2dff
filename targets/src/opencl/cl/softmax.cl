const __global uchar *x = MCV_ROW(0, m);
__global uchar *y = MCV_ROW(@result@, m);
const int seen = @seen@;
float most = -INFINITY, total = 0.0f;
for (int n = lane; n < seen; n += 64) most = fmax(most, mcv_f32(x, n));
most = mcv_group_max(shared, lane, most);
for (int n = lane; n < seen; n += 64) total += exp(mcv_f32(x, n) - most);
total = mcv_group_sum(shared, lane, total);
for (int n = lane; n < C; n += 64) mcv_put_f32(y, n, n < seen ? exp(mcv_f32(x, n) - most) / total : 0.0f);
