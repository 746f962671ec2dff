/* Describes a picture: describe MODEL.mcv PICTURE [QUESTION]
 * PICTURE is a binary PPM (P6) or a PNG, JPEG, WebP, BMP or GIF file. */
#include "mcv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* All bytes of a file; NULL if it can't be read. */
static unsigned char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    size_t room = 1 << 16;
    unsigned char *bytes = malloc(room);
    *length = 0;
    while (bytes) {
        *length += fread(bytes + *length, 1, room - *length, file);
        if (*length < room) break;
        unsigned char *more = realloc(bytes, room *= 2);
        if (!more) free(bytes);
        bytes = more;
    }
    int failed = ferror(file);
    fclose(file);
    if (failed) {
        free(bytes);
        bytes = NULL;
    }
    return bytes;
}

/* The next number of a PPM header, -1 if there is none; comments run from # to the end of the line. */
static long ppm_number(const unsigned char *bytes, size_t length, size_t *at) {
    while (*at < length && (isspace(bytes[*at]) || bytes[*at] == '#')) {
        if (bytes[*at] == '#') {
            while (*at < length && bytes[*at] != '\n') ++*at;
        } else {
            ++*at;
        }
    }
    long number = -1;
    for (; *at < length && isdigit(bytes[*at]) && number < 1000000; ++*at) {
        number = (number < 0 ? 0 : number) * 10 + (bytes[*at] - '0');
    }
    return number;
}

static int add_ppm(mcv_session *session, const unsigned char *bytes, size_t length) {
    size_t at = 2;
    long width = ppm_number(bytes, length, &at);
    long height = ppm_number(bytes, length, &at);
    long most = ppm_number(bytes, length, &at);
    at += 1; /* One white space ends the header. */
    if (width <= 0 || height <= 0 || most != 255 || at > length || (length - at) / 3 / (size_t)width < (size_t)height) {
        return -1;
    }
    return mcv_image_rgb(session, bytes + at, (uint32_t)width, (uint32_t)height, 0);
}

static int add_picture(mcv_session *session, const char *path) {
    size_t length = 0;
    unsigned char *bytes = read_file(path, &length);
    if (!bytes) {
        perror(path);
        return -1;
    }
    int ppm = length > 2 && bytes[0] == 'P' && bytes[1] == '6';
    int result = ppm ? add_ppm(session, bytes, length) : mcv_image_file(session, path, bytes, length);
    if (result < 0) fprintf(stderr, "%s: not a PPM file with 8-bit samples\n", path);
    free(bytes);
    return result;
}

static int describe(mcv_session *session, const char *picture, const char *question) {
    int result = add_picture(session, picture);
    if (result == MCV_OK) result = mcv_say(session, question, NULL);
    const char *piece = NULL;
    while (result == MCV_OK && (result = mcv_next(session, &piece)) == MCV_OK && piece) {
        fputs(piece, stdout);
        fflush(stdout);
    }
    if (result > 0) fprintf(stderr, "%s\n", mcv_error(session));
    if (result != MCV_OK) return 1;
    mcv_stats_t stats = {.size = sizeof stats};
    mcv_stats(session, &stats);
    printf("\n");
    fprintf(stderr, "%u slices in %.2f s, first token after %.2f s, then %.1f tokens/s\n", stats.slices,
            stats.vision_seconds, stats.first_token_seconds,
            stats.decode_seconds > 0 ? stats.decode_tokens / stats.decode_seconds : 0.0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: describe MODEL.mcv PICTURE [QUESTION]\n");
        return 2;
    }
    mcv_options options = {.size = sizeof options, .max_tokens = 256};
    mcv_session *session = NULL;
    if (mcv_open(argv[1], &options, &session) != MCV_OK) {
        fprintf(stderr, "%s\n", mcv_error(NULL));
        return 1;
    }
    int result = describe(session, argv[2], argc > 3 ? argv[3] : "Describe this picture.");
    mcv_close(session);
    return result;
}
