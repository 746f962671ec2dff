/* A group of 64 items: @span@. */
MCV_KERNEL(64) void @symbol@(@params@) {
    @sizes@
    const int lane = get_local_id(0), m = get_group_id(1);
    const int begin = @begin@, end = @end@;
    @local@
    @set_up@
    @sink@
}
