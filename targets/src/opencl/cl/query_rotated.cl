const int half_head = D / 2, turn = n % half_head;
const __global uchar *table = MCV_ROW(3, token);
const float co = mcv_f32(table, turn), si = mcv_f32(table, half_head + turn);
const float other = mcv_f32(q, n < half_head ? n + half_head : turn);
const float v = n < half_head ? mcv_f32(q, n) * co - other * si : mcv_f32(q, n) * co + other * si;
