/* A FastRPC library: the same functions called from the CPU's side of a phone. Interface of the public headers
 * `remote.h`, `HAP_mem.h` and `HAP_vtcm_mgr.h`, declared here anew; never run so far. The library's name on the phone:
 * libmcv_hexagon_skel.so; its address: file:///libmcv_hexagon_skel.so?mcv_hexagon_skel_handle_invoke&_modver=1.0
 *
 * method 2 map:   in u32 region, u32 bytes, i32 file (of a buffer given to fastrpc_mmap with FASTRPC_MAP_FD), u32 writable;
 *                 out u32 status, u32 0
 * method 3 unmap: in u32 region; out as above
 * method 4 run:   in a list; out u32 status, u32 launch
 */
#if defined(MCV_FASTRPC)
typedef struct { void *data; __SIZE_TYPE__ bytes; } mcv_buffer;
typedef union { mcv_buffer buffer; uint64_t handle; } mcv_remote;
int HAP_mmap_get(int file, void **address, uint64_t *physical);
int HAP_mmap_put(int file);
void *HAP_request_VTCM(unsigned bytes, unsigned one_page) __attribute__((weak));
int HAP_release_VTCM(void *at) __attribute__((weak));
static struct { int file; uint32_t writable; } mcv_files[MCV_REGIONS];

/* Nobody else keeps the caches of such buffers in step: writes back what was written, and forgets it before the CPU
 * writes again. */
static void mcv_write_back(void) {
    for (int i = 0; i < MCV_REGIONS; i++)
        for (uint32_t at = 0; mcv_files[i].writable && at < mcv_regions[i].bytes; at += 32)
            __builtin_HEXAGON_Y2_dccleaninva(mcv_regions[i].data + at);
}

static uint32_t mcv_share(const uint32_t *what) {
    void *at = 0;
    uint64_t physical;
    if (what[0] >= MCV_REGIONS || mcv_regions[what[0]].data) return MCV_REGION;
    if (HAP_mmap_get((int)what[2], &at, &physical)) return MCV_SYSTEM;
    mcv_regions[what[0]] = (mcv_region){(char *)at, what[1], (char *)at, what[1]};
    mcv_files[what[0]].file = (int)what[2];
    mcv_files[what[0]].writable = what[3];
    return MCV_DONE;
}

static uint32_t mcv_forget(uint32_t region) {
    if (region >= MCV_REGIONS || !mcv_regions[region].data) return MCV_REGION;
    HAP_mmap_put(mcv_files[region].file);
    mcv_files[region].writable = 0;
    memset(mcv_regions + region, 0, sizeof mcv_regions[region]);
    return MCV_DONE;
}

/* Tightly coupled memory for a session; without it rows are read where they are. */
static void mcv_near(int wanted) {
    if (hvx_near && HAP_release_VTCM) HAP_release_VTCM(hvx_near);
    hvx_near = wanted && HAP_request_VTCM ? (char *)HAP_request_VTCM(8 << 20, 1) : 0;
    hvx_near_bytes = hvx_near ? 8 << 20 : 0;
}

/* Scalars: method in bits 24..28, inputs in bits 16..23, outputs in bits 8..15, handles in 4..7, handles out in 0..3.
 * 0 opens and may ask for a handle, 1 closes. */
MCV_API int mcv_hexagon_skel_handle_invoke(uint64_t handle, uint32_t scalars, mcv_remote *args) {
    const uint32_t method = scalars >> 24 & 31, inputs = scalars >> 16 & 255, outputs = scalars >> 8 & 255;
    (void)handle;
    if (method == 0 && scalars & 15) args[inputs + outputs + (scalars >> 4 & 15)].handle = 1;
    if (method < 2) {
        mcv_near(method == 0);
        return 0;
    }
    if (inputs != 1 || outputs != 1 || args[1].buffer.bytes < 8) return -1;
    const mcv_buffer in = args[0].buffer;
    uint32_t *answer = (uint32_t *)args[1].buffer.data;
    answer[0] = MCV_VERB;
    answer[1] = 0;
    if (method == 2 && in.bytes >= 16) answer[0] = mcv_share((const uint32_t *)in.data);
    if (method == 3 && in.bytes >= 4) answer[0] = mcv_forget(*(const uint32_t *)in.data);
    if (method == 4) {
        answer[0] = mcv_run_list((const char *)in.data, (uint32_t)in.bytes, answer + 1);
        mcv_write_back();
    }
    return 0;
}
#endif
