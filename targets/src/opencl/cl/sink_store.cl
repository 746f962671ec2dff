for (int n = begin + lane; n < end; n += 64) {
    float v = @value@;
    @epilogue@
    mcv_put_f32(MCV_ROW(@result@, @to@), n, v);
}
