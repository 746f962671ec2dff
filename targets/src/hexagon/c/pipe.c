/* A Linux process, for emulators: obeys messages from standard input, answers on standard output.
 *
 * message: u32 verb, u32 bytes, payload; answer: u32 status, u32 launch or system error
 * 1 map:   u32 region, u32 bytes, u32 offset / 4096, u32 writable, path and a zero: a file's bytes become a region
 * 2 unmap: u32 region
 * 3 run:   a list
 */
#if !defined(MCV_FASTRPC)
/* Stands for tightly coupled memory: 8 MiB, as v73 has. */
static char mcv_near[8 << 20] __attribute__((aligned(2048)));
static long mcv_system(long number, long a, long b, long c, long d, long e, long f) {
    register long r0 __asm__("r0") = a;
    register long r1 __asm__("r1") = b;
    register long r2 __asm__("r2") = c;
    register long r3 __asm__("r3") = d;
    register long r4 __asm__("r4") = e;
    register long r5 __asm__("r5") = f;
    register long r6 __asm__("r6") = number;
    __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5), "r"(r6) : "memory");
    return r0;
}
enum { MCV_OPENAT = 56, MCV_CLOSE = 57, MCV_READ = 63, MCV_WRITE = 64, MCV_EXIT = 94, MCV_MUNMAP = 215, MCV_MMAP = 222 };
enum { MCV_HERE = -100, MCV_PROT_READ = 1, MCV_PROT_WRITE = 2, MCV_SHARED = 1, MCV_PRIVATE = 2, MCV_ANONYMOUS = 32 };
/* Pages of the emulator; mappings begin at multiples of it. */
enum { MCV_PAGE = 65536 };

static int mcv_failed(long result) { return result < 0 && result > -4096; }

/* Whether all bytes went through. */
static int mcv_transfer(long verb, int file, char *data, uint32_t bytes) {
    while (bytes) {
        const long moved = mcv_system(verb, file, (long)data, bytes, 0, 0, 0);
        if (moved <= 0) return 0;
        data += moved;
        bytes -= moved;
    }
    return 1;
}

static uint32_t mcv_unmap(uint32_t region) {
    if (region >= MCV_REGIONS) return MCV_REGION;
    mcv_region *r = mcv_regions + region;
    if (r->mapped) mcv_system(MCV_MUNMAP, (long)r->mapped, r->mapped_bytes, 0, 0, 0, 0);
    memset(r, 0, sizeof *r);
    return MCV_DONE;
}

static uint32_t mcv_map(const uint32_t *what, uint32_t bytes, uint32_t *error) {
    const char *path = (const char *)(what + 4);
    if (bytes < 17 || path[bytes - 17] || what[0] >= MCV_REGIONS || mcv_regions[what[0]].data) return MCV_REGION;
    const int writable = what[3] != 0;
    const long file = mcv_system(MCV_OPENAT, MCV_HERE, (long)path, writable ? 2 : 0, 0, 0, 0);
    const uint32_t before = what[2] % (MCV_PAGE / 4096), whole = what[1] + before * 4096;
    const long at = mcv_failed(file) ? file
        : mcv_system(MCV_MMAP, 0, whole, MCV_PROT_READ | (writable ? MCV_PROT_WRITE : 0), MCV_SHARED, file, what[2] - before);
    if (!mcv_failed(file)) mcv_system(MCV_CLOSE, file, 0, 0, 0, 0, 0);
    if (mcv_failed(at)) {
        *error = (uint32_t)-at;
        return MCV_SYSTEM;
    }
    mcv_regions[what[0]] = (mcv_region){(char *)at + before * 4096, what[1], (char *)at, whole};
    return MCV_DONE;
}

/* Memory for a payload, kept for the next one. */
static char *mcv_room(uint32_t bytes) {
    static char *room;
    static uint32_t size;
    if (bytes <= size) return room;
    if (room) mcv_system(MCV_MUNMAP, (long)room, size, 0, 0, 0, 0);
    size = (bytes + MCV_PAGE - 1) / MCV_PAGE * MCV_PAGE;
    const long at = mcv_system(MCV_MMAP, 0, size, MCV_PROT_READ | MCV_PROT_WRITE, MCV_PRIVATE | MCV_ANONYMOUS, -1, 0);
    room = mcv_failed(at) ? 0 : (char *)at;
    if (!room) size = 0;
    return room;
}

__attribute__((used)) static void mcv_serve(void) {
    hvx_near = mcv_near;
    hvx_near_bytes = sizeof mcv_near;
    uint32_t head[2];
    while (mcv_transfer(MCV_READ, 0, (char *)head, sizeof head)) {
        char *payload = mcv_room(head[1]);
        if ((head[1] && !payload) || !mcv_transfer(MCV_READ, 0, payload, head[1])) break;
        uint32_t answer[2] = {MCV_VERB, 0};
        if (head[0] == 1) answer[0] = mcv_map((const uint32_t *)payload, head[1], answer + 1);
        if (head[0] == 2) answer[0] = head[1] >= 4 ? mcv_unmap(*(const uint32_t *)payload) : MCV_REGION;
        if (head[0] == 3) answer[0] = mcv_run_list(payload, head[1], answer + 1);
        if (!mcv_transfer(MCV_WRITE, 1, (char *)answer, sizeof answer)) break;
    }
    mcv_system(MCV_EXIT, 0, 0, 0, 0, 0, 0);
}
/* Kernels keep whole vectors on the stack. */
__asm__(".globl _start\n_start:\n    r29 = and(r29, #-128)\n    call mcv_serve\n");
#endif
