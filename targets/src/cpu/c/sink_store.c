float *y = (float *)MCV_ROW(@result@, m);
for (int64_t n = 0; n < @width@; n += 16) {
    const int count = mcv_count(@width@, n);
    vf v = @value@;
    @epilogue@
    vf_store_n(y + n, v, count);
}
