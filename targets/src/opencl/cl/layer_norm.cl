const __global uchar *x = MCV_ROW(0, m);
float total = 0.0f, squares = 0.0f;
for (int n = lane; n < D; n += 64) total += mcv_f32(x, n);
const float mean = mcv_group_sum(shared, lane, total) / (float)D;
for (int n = lane; n < D; n += 64) {
    const float off = mcv_f32(x, n) - mean;
    squares = fma(off, off, squares);
}
const float inverse_deviation = 1.0f / sqrt(mcv_group_sum(shared, lane, squares) / (float)D + EPS);
