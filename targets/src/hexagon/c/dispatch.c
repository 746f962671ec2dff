/* A list of launches over shared regions: one call of the host runs a whole phase.
 *
 * list:   u32 count, u32 0, then launches under each other
 * launch: u32 kernel, u32 arguments, u32 dims, u32 scalars, i64 begin, i64 end (-1: all work units),
 *         arguments {u32 region, u32 offset, i64 stride}, dims i64, scalars f32 (their number rounded up to even)
 */
enum { MCV_REGIONS = 256, MCV_ARGUMENTS = 16 };
enum { MCV_DONE, MCV_VERB, MCV_LIST, MCV_KERNEL, MCV_REGION, MCV_SYSTEM };

typedef struct { char *data; uint32_t bytes; char *mapped; uint32_t mapped_bytes; } mcv_region;
typedef struct { uint32_t kernel, args, dims, scalars; int64_t begin, end; } mcv_launch;
typedef struct { uint32_t region, offset; int64_t stride; } mcv_operand;
typedef struct { int64_t (*units)(const mcv_call *); void (*run)(const mcv_call *, int64_t, int64_t); } mcv_entry;

extern const mcv_entry mcv_entries[];
extern const uint32_t mcv_entry_count;
static mcv_region mcv_regions[MCV_REGIONS];

/* Bytes of a launch after its head; 0 where a count is impossible. */
static uint32_t mcv_tail(const mcv_launch *l) {
    if (l->args > MCV_ARGUMENTS || l->dims > 64 || l->scalars > 64) return 0;
    return l->args * sizeof(mcv_operand) + l->dims * 8 + (l->scalars + 1) / 2 * 8;
}

static uint32_t mcv_start(const mcv_launch *l) {
    const mcv_operand *operand = (const mcv_operand *)(l + 1);
    if (l->kernel >= mcv_entry_count || !mcv_entries[l->kernel].run) return MCV_KERNEL;
    mcv_arg arg[MCV_ARGUMENTS];
    for (uint32_t i = 0; i < l->args; i++) {
        if (operand[i].region >= MCV_REGIONS || operand[i].offset >= mcv_regions[operand[i].region].bytes) return MCV_REGION;
        arg[i].data = mcv_regions[operand[i].region].data + operand[i].offset;
        arg[i].stride = operand[i].stride;
    }
    const int64_t *dim = (const int64_t *)(operand + l->args);
    const mcv_call call = {arg, dim, (const float *)(dim + l->dims)};
    const mcv_entry *entry = mcv_entries + l->kernel;
    const int64_t units = entry->units(&call);
    const int64_t end = l->end < 0 ? units : mcv_min(l->end, units);
    if (l->begin >= 0 && l->begin < end) entry->run(&call, l->begin, end);
    return MCV_DONE;
}

/* Runs a list in order; `at` becomes the launch that failed. The list lies at a multiple of 8. */
uint32_t mcv_run_list(const char *list, uint32_t bytes, uint32_t *at) {
    const uint32_t count = bytes >= 8 ? *(const uint32_t *)list : 0;
    uint32_t used = 8;
    if (bytes < 8) return MCV_LIST;
    for (*at = 0; *at < count; ++*at) {
        const mcv_launch *l = (const mcv_launch *)(list + used);
        if (bytes - used < sizeof *l) return MCV_LIST;
        const uint32_t tail = mcv_tail(l);
        used += sizeof *l;
        if (!tail || bytes - used < tail) return MCV_LIST;
        used += tail;
        const uint32_t status = mcv_start(l);
        if (status != MCV_DONE) return status;
    }
    return MCV_DONE;
}
