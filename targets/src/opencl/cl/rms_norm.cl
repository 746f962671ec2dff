const __global uchar *x = MCV_ROW(0, m);
float squares = 0.0f;
for (int n = begin + lane; n < end; n += 64) squares = fma(mcv_f32(x, n), mcv_f32(x, n), squares);
const float inverse_root = 1.0f / sqrt(mcv_group_sum(shared, lane, squares) / (float)(end - begin) + EPS);
