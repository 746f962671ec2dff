/* Steps the work items of OpenCL kernels that were compiled for this machine: `PROGRAM WAVE`, jobs as opencl_host.c
 * reads them. Items are fibers. An item runs until it meets others, at a barrier or in a subgroup of WAVE items; there
 * it waits until all of them stand at the very same place in the code. If one ended or stands elsewhere, that is
 * divergence, an error. Every other job runs its items from the last to the first: results must not depend on it.
 * Buffers lie between pages that can't be touched; texels are counted. `wave_table` comes with the kernels. */
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

typedef union { void *p; uint64_t u; int64_t l; int32_t i; float f; } value;
typedef struct { const char *symbol; void (*call)(const value *); } entry;
extern const entry wave_table[];
typedef uint32_t uint4 __attribute__((vector_size(16)));

enum { MOST_ITEMS = 1024, MOST_VALUES = 128, MOST_ARGUMENTS = 16, STACK = 1 << 17, PAGE = 4096 };
enum { READY, MEETS_GROUP, MEETS_WAVE, ENDED };

typedef struct {
    ucontext_t context;
    char *stack;
    int state, operation;
    void *place;
    uint32_t word, lane;
    float number;
} item;
typedef struct { char *pages; size_t length; uint64_t bytes, offset; int64_t stride; char *data; } argument;

static item items[MOST_ITEMS];
static ucontext_t scheduler;
static int count, wave, current, backwards;
static uint64_t group[2];
static const entry *kernel;
static value values[MOST_VALUES];
static struct { void *handle; uint64_t texels; const uint32_t *data; } image;

static void end_with(const char *message) {
    const uint32_t length = (uint32_t)strlen(message);
    if (write(1, &length, 4) != 4 || write(1, message, length) != (ssize_t)length) _exit(3);
    _exit(2);
}

static void fault(int signal) {
    (void)signal;
    end_with("an access outside of a buffer");
}

static void meet(int state, int operation, void *place) {
    item *me = items + current;
    me->state = state;
    me->operation = operation;
    me->place = place;
    swapcontext(&me->context, &scheduler);
}

uint64_t wave_local(void) { return (uint64_t)current; }
uint64_t wave_group(uint32_t axis) { return axis < 2 ? group[axis] : 0; }
uint32_t wave_lane(void) { return (uint32_t)(current % wave); }
uint32_t wave_number(void) { return (uint32_t)(current / wave); }
/* Their wrappers are inlined: the place is where the kernel goes on. */
__attribute__((noinline)) void wave_barrier(void) { meet(MEETS_GROUP, 0, __builtin_return_address(0)); }
__attribute__((noinline)) uint32_t wave_broadcast(uint32_t v, uint32_t lane) {
    items[current].word = v;
    items[current].lane = lane;
    meet(MEETS_WAVE, 1, __builtin_return_address(0));
    return items[current].word;
}
__attribute__((noinline)) float wave_sum(float v) {
    items[current].number = v;
    meet(MEETS_WAVE, 2, __builtin_return_address(0));
    return items[current].number;
}
__attribute__((noinline)) float wave_max(float v) {
    items[current].number = v;
    meet(MEETS_WAVE, 3, __builtin_return_address(0));
    return items[current].number;
}
uint4 wave_texel(void *handle, int32_t at) {
    if (!handle || handle != image.handle) end_with("a read of what is no image");
    if (at < 0 || (uint64_t)at >= image.texels) end_with("a texel outside of its image");
    return (uint4){image.data[2 * at], image.data[2 * at + 1], 0, 1};
}

static void body(void) {
    kernel->call(values);
    items[current].state = ENDED;
    swapcontext(&items[current].context, &scheduler);
}

/* All items of first..last stand at one place in `state`; with operation 0 that is all. */
static void together(int first, int last, int state) {
    const item *leader = items + first;
    for (int i = first; i < last; i++)
        if (items[i].state != state || items[i].place != leader->place || items[i].operation != leader->operation)
            end_with(state == MEETS_GROUP ? "divergence at a barrier" : "divergence in a subgroup");
}

static void exchange(int first, int last) {
    together(first, last, MEETS_WAVE);
    const item *leader = items + first;
    float sum = 0.0f, most = -INFINITY;
    for (int i = first; i < last; i++) {
        if (items[i].lane != leader->lane && leader->operation == 1) end_with("a broadcast from different lanes");
        sum += items[i].number;
        most = fmaxf(most, items[i].number);
    }
    if (leader->operation == 1 && leader->lane >= (uint32_t)(last - first)) end_with("a broadcast from no lane");
    const uint32_t word = leader->operation == 1 ? items[first + leader->lane].word : 0;
    for (int i = first; i < last; i++) {
        items[i].word = word;
        items[i].number = leader->operation == 2 ? sum : most;
        items[i].state = READY;
    }
}

static int step(void) {
    int ended = 0, barrier = 0;
    for (int n = 0; n < count; n++) {
        current = backwards ? count - 1 - n : n;
        if (items[current].state == READY) swapcontext(&scheduler, &items[current].context);
    }
    for (int first = 0; first < count; first += wave) {
        const int last = first + wave < count ? first + wave : count;
        int meets = 0;
        for (int i = first; i < last; i++) meets |= items[i].state == MEETS_WAVE;
        if (meets) exchange(first, last);
    }
    for (int i = 0; i < count; i++) {
        ended += items[i].state == ENDED;
        barrier += items[i].state == MEETS_GROUP;
    }
    if (barrier + ended == count && barrier) {
        together(0, count, MEETS_GROUP);
        for (int i = 0; i < count; i++) items[i].state = READY;
    }
    return ended == count;
}

static void run_group(void) {
    for (int i = 0; i < count; i++) {
        item *it = items + i;
        if (!it->stack) it->stack = malloc(STACK);
        getcontext(&it->context);
        it->context.uc_stack.ss_sp = it->stack;
        it->context.uc_stack.ss_size = STACK;
        it->context.uc_link = &scheduler;
        makecontext(&it->context, body, 0);
        it->state = READY;
    }
    while (!step()) {}
}

static void take(void *to, size_t bytes) {
    if (bytes && fread(to, bytes, 1, stdin) != 1) exit(0);
}

static uint32_t number(void) {
    uint32_t n;
    take(&n, sizeof n);
    return n;
}

/* Pages that end where the data ends, with a forbidden one on either side. */
static void receive(argument *a) {
    take(&a->bytes, 24);
    const size_t room = (a->bytes + PAGE - 1) / PAGE * PAGE;
    a->length = room + 2 * PAGE;
    a->pages = mmap(0, a->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(a->pages + PAGE, room, PROT_READ | PROT_WRITE);
    a->data = a->pages + PAGE + room - a->bytes;
    take(a->data, a->bytes);
}

static void run(void) {
    char symbol[256] = "";
    const uint32_t length = number();
    if (length >= sizeof symbol) exit(2);
    take(symbol, length);
    count = (int)number();
    const uint32_t x = number(), y = number();
    const int32_t viewed = (int32_t)number();
    const uint32_t arguments = number();
    argument a[MOST_ARGUMENTS];
    if (count > MOST_ITEMS || arguments > MOST_ARGUMENTS) exit(2);
    value *v = values;
    for (uint32_t i = 0; i < arguments; i++) {
        receive(a + i);
        (v++)->p = a[i].data;
        (v++)->u = a[i].offset;
        (v++)->l = a[i].stride;
        if (viewed == (int32_t)i) {
            image.handle = &image;
            image.texels = a[i].bytes / 8;
            image.data = (const uint32_t *)a[i].data;
            (v++)->p = image.handle;
        }
    }
    for (int part = 0; part < 2; part++)
        for (uint32_t i = number(); i; i--) (v++)->i = (int32_t)number();
    for (kernel = wave_table; kernel->symbol && strcmp(kernel->symbol, symbol); kernel++) {}
    if (!kernel->symbol) end_with("no such kernel");
    for (group[1] = 0; group[1] < y; group[1]++)
        for (group[0] = 0; group[0] < x; group[0]++) run_group();
    const argument *result = a + arguments - 1;
    const uint32_t good = 0;
    fwrite(&good, 4, 1, stdout);
    fwrite(result->data, result->bytes, 1, stdout);
    fflush(stdout);
    for (uint32_t i = 0; i < arguments; i++) munmap(a[i].pages, a[i].length);
    backwards = !backwards;
}

int main(int words, char **word) {
    if (words != 2) return 1;
    wave = atoi(word[1]);
    static char stack[1 << 16];
    const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, 0);
    struct sigaction action = {.sa_handler = fault, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    const char *hello = "wave";
    const uint32_t length = 4;
    fwrite(&length, 4, 1, stdout);
    fwrite(hello, 4, 1, stdout);
    fflush(stdout);
    for (;;) run();
}
