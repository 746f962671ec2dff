/* A program without a C library around the kernels: reads calls from standard input, writes results to standard output.
 *
 * call:   u64 bytes of what follows, u32 kernel, u32 arguments, u32 dims, u32 scalars, u32 pieces, u32 0, u64 bytes of
 *         the result; arguments {u64 offset, i64 stride}, the result last; dims i64; scalars f32; data at the offsets
 * answer: the result's bytes
 */
typedef struct { uint32_t kernel, args, dims, scalars, pieces, pad; uint64_t bytes; } call_head;
typedef struct { uint64_t offset; int64_t stride; } call_arg;

static long system_call(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
enum { READ = 63, WRITE = 64, EXIT = 93, MAP = 222 };

static void leave(int code) { for (;;) system_call(EXIT, code, 0, 0, 0, 0, 0); }
/* Moves all bytes; the end of the input is the end of the program. */
static void move(long number, int file, char *p, uint64_t count) {
    while (count) {
        const long n = system_call(number, file, (long)p, (long)count, 0, 0, 0);
        if (n <= 0) leave(n == 0 ? 0 : 1);
        p += n;
        count -= (uint64_t)n;
    }
}

static void answer(char *p) {
    call_head h;
    memcpy(&h, p, sizeof h);
    const call_arg *from = (const call_arg *)(p + sizeof h);
    mcv_arg arg[16];
    if (h.args > 16 || h.kernel >= sizeof kernels / sizeof *kernels) leave(2);
    for (uint32_t i = 0; i < h.args; i++) arg[i] = (mcv_arg){p + from[i].offset, from[i].stride};
    const int64_t *dim = (const int64_t *)(from + h.args);
    const mcv_call c = {arg, dim, (const float *)(dim + h.dims)};
    const int64_t units = kernels[h.kernel].units(&c);
    if (!h.pieces) kernels[h.kernel].run(&c, 0, units);
    for (int64_t u = units - 1; h.pieces && u >= 0; u -= 3) kernels[h.kernel].run(&c, u < 2 ? 0 : u - 2, u + 1);
    move(WRITE, 1, arg[h.args - 1].data, h.bytes);
}

__attribute__((used)) void serve(void) {
    const uint64_t most = 1ull << 28;
    char *memory = (char *)system_call(MAP, 0, (long)most, 3, 0x22, -1, 0);
    for (;;) {
        uint64_t bytes;
        move(READ, 0, (char *)&bytes, sizeof bytes);
        if (bytes > most) leave(3);
        move(READ, 0, memory, bytes);
        answer(memory);
    }
}
__asm__(".globl _start\n_start:\nbl serve\n");
