/* Runs kernels of an OpenCL text for another program: `opencl_host TEXT OPTIONS`, jobs on standard input, results on
 * standard output. All numbers are native; a job is
 *   u32 length, symbol | u32 items | u32 groups[2] | i32 argument that is an image too, or -1
 *   u32 arguments, each u64 bytes, u64 offset, i64 stride, data (the last is the result)
 *   u32 dims, i32 each | u32 scalars, f32 each
 * and the answer u32 0 and the result's bytes, or u32 length and a message. Run it under oclgrind to find races. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ARGUMENTS = 16, MOST_MESSAGE = 16384 };

typedef struct { uint64_t bytes, offset; int64_t stride; char *data; cl_mem buffer, image; } argument;

static cl_context context;
static cl_device_id device;
static cl_command_queue queue;
static cl_program program;

static void take(void *to, size_t bytes) {
    if (bytes && fread(to, bytes, 1, stdin) != 1) exit(0);
}

static uint32_t number(void) {
    uint32_t n;
    take(&n, sizeof n);
    return n;
}

static void answer(const char *message, const void *data, size_t bytes) {
    const uint32_t length = message ? (uint32_t)strlen(message) : 0;
    fwrite(&length, sizeof length, 1, stdout);
    fwrite(message ? message : data, message ? length : bytes, 1, stdout);
    fflush(stdout);
}

static void fail(const char *what, cl_int code) {
    char log[MOST_MESSAGE] = "";
    const int at = snprintf(log, sizeof log, "%s: OpenCL error %d\n", what, code);
    if (program) clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof log - (size_t)at - 1, log + at, 0);
    answer(log, 0, 0);
    exit(2);
}

static void build(const char *file, const char *options) {
    cl_int code;
    cl_platform_id platform;
    FILE *f = fopen(file, "rb");
    if (!f) fail("no text", 0);
    fseek(f, 0, SEEK_END);
    size_t length = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(length + 1);
    const char *parts[] = {text};
    if (fread(text, length, 1, f) != 1) fail("unreadable text", 0);
    if ((code = clGetPlatformIDs(1, &platform, 0))) fail("no platform", code);
    if ((code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, 0))) fail("no device", code);
    context = clCreateContext(0, 1, &device, 0, 0, &code);
    if (code) fail("no context", code);
    queue = clCreateCommandQueue(context, device, 0, &code);
    if (code) fail("no queue", code);
    program = clCreateProgramWithSource(context, 1, parts, &length, &code);
    if (code) fail("no program", code);
    if ((code = clBuildProgram(program, 1, &device, options, 0, 0))) fail("build", code);
    char name[200] = "", version[300] = "", both[600];
    clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, 0);
    clGetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof version, version, 0);
    snprintf(both, sizeof both, "%s | %s", version, name);
    answer(both, 0, 0);
}

static void receive(argument *a) {
    cl_int code;
    take(&a->bytes, 24);
    a->data = malloc(a->bytes + 1);
    take(a->data, a->bytes);
    a->buffer = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, a->bytes, a->data, &code);
    if (code) fail("buffer", code);
    a->image = 0;
}

static void view(argument *a) {
    cl_int code;
    const cl_image_format format = {CL_RG, CL_UNSIGNED_INT32};
    cl_image_desc shape = {CL_MEM_OBJECT_IMAGE1D_BUFFER};
    shape.image_width = a->bytes / 8;
    shape.buffer = a->buffer;
    a->image = clCreateImage(context, CL_MEM_READ_ONLY, &format, &shape, 0, &code);
    if (code) fail("image", code);
}

static void pass(cl_kernel kernel, cl_uint *at, size_t bytes, const void *value) {
    const cl_int code = clSetKernelArg(kernel, (*at)++, bytes, value);
    if (code) fail("argument", code);
}

static void run(int images) {
    char symbol[256] = "";
    const uint32_t length = number();
    if (length >= sizeof symbol) exit(2);
    take(symbol, length);
    const size_t items = number(), local[2] = {items, 1};
    const size_t x = number(), y = number(), global[2] = {x * items, y};
    const int32_t image = (int32_t)number();
    const uint32_t count = number();
    argument a[MOST_ARGUMENTS];
    if (count > MOST_ARGUMENTS) exit(2);
    cl_int code;
    cl_uint at = 0;
    cl_kernel kernel = clCreateKernel(program, symbol, &code);
    if (code) fail(symbol, code);
    for (uint32_t i = 0; i < count; i++) {
        receive(a + i);
        pass(kernel, &at, sizeof(cl_mem), &a[i].buffer);
        pass(kernel, &at, 8, &a[i].offset);
        pass(kernel, &at, 8, &a[i].stride);
        if (images && image == (int32_t)i) {
            view(a + i);
            pass(kernel, &at, sizeof(cl_mem), &a[i].image);
        }
    }
    for (int part = 0; part < 2; part++)
        for (uint32_t i = number(); i; i--) {
            const uint32_t value = number();
            pass(kernel, &at, 4, &value);
        }
    if ((code = clEnqueueNDRangeKernel(queue, kernel, 2, 0, global, local, 0, 0, 0))) fail("launch", code);
    const argument *result = a + count - 1;
    code = clEnqueueReadBuffer(queue, result->buffer, CL_TRUE, 0, result->bytes, result->data, 0, 0, 0);
    if (code) fail("read", code);
    answer(0, result->data, result->bytes);
    for (uint32_t i = 0; i < count; i++) {
        if (a[i].image) clReleaseMemObject(a[i].image);
        clReleaseMemObject(a[i].buffer);
        free(a[i].data);
    }
    clReleaseKernel(kernel);
}

int main(int count, char **words) {
    if (count != 3) return 1;
    build(words[1], words[2]);
    for (;;) run(strstr(words[2], "MCV_IMAGES=1") != 0);
}
