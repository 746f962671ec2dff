const float v = mcv_f32(q, n);
