/* mcv: runs MiniCPM-V artifacts (.mcv). Link libmcv_runtime.so, or libmcv_runtime.a with -lm -ldl -lpthread.
 *
 *     mcv_session *session;
 *     if (mcv_open("model.mcv", NULL, &session) != MCV_OK) { puts(mcv_error(NULL)); return 1; }
 *     mcv_image_file(session, "cat.jpg", bytes, length);
 *     mcv_say(session, "What is this?", NULL);
 *     for (const char *piece; mcv_next(session, &piece) == MCV_OK && piece;) fputs(piece, stdout);
 *     mcv_close(session);
 *
 * All text is UTF-8 and ends with a zero byte. Calls on one session from several threads wait for each other, except
 * mcv_cancel, which never waits. Sessions are independent. No call ends the process; null pointers are errors.
 */
#ifndef MCV_H
#define MCV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open model and the conversation held with it. */
typedef struct mcv_session mcv_session;

/* Results of calls. After anything but MCV_OK, mcv_error says what happened. */
enum {
    MCV_OK = 0,
    MCV_INPUT = 1,     /* The caller's text, picture or option is at fault. */
    MCV_ARTIFACT = 2,  /* The file is missing, damaged, foreign, or of another version. */
    MCV_DEVICE = 3,    /* This device cannot run it: no fitting kernels, no memory. */
    MCV_CANCELLED = 4, /* mcv_cancel was called during mcv_say. */
    MCV_BUG = 5        /* The runtime failed. If mcv_error says so, the session can only be closed. */
};

/* Why an answer ended: field `finish` of mcv_stats_t. */
enum {
    MCV_RUNNING = 0,      /* It has not, or there is none. */
    MCV_STOP = 1,         /* The model said so. */
    MCV_LENGTH = 2,       /* max_tokens are out. */
    MCV_CONTEXT_FULL = 3, /* The context is full. */
    MCV_CANCEL = 4        /* mcv_cancel was called. The conversation is as it was before mcv_say. */
};

/* Options of mcv_open. Set `size` to sizeof(mcv_options) and what you don't need to zero: zero means the default.
 * Fields may be added at the end; `size` tells which of them exist. */
typedef struct mcv_options {
    size_t size;
    uint32_t threads;  /* Threads at work. Default: all cores this process may use. */
    uint32_t verify;   /* 1: compare the whole file with its digests first. */
    const char *level; /* Instruction set level of the kernels. Default: the best one. */
    uint32_t max_tokens; /* Most tokens of an answer. Default: the model's. */
    uint32_t sample;   /* 1: the five fields below replace the model's defaults. */
    float temperature; /* 0: always the likeliest token. */
    float top_p;       /* In (0, 1]; 1 keeps all tokens. */
    float repetition_penalty; /* Above 0; 1 is none. */
    uint32_t top_k;    /* 0 keeps all tokens. */
    uint64_t seed;     /* Equal seeds give equal answers. */
    const char *units; /* Units to use, e.g. "cpu" or "cpu,gpu". Default: all that the model is compiled for. */
    const char *cache; /* Folder for programs that the GPU's driver built. Default: the user's cache folder. */
    uint32_t thinking; /* 1: the model thinks before it answers, if it can (4.5); its thoughts are part of the answer. */
} mcv_options;

/* Costs of the last turn. Set `size` to sizeof(mcv_stats_t) before the call. Bytes are bytes, times are seconds. */
typedef struct mcv_stats_t {
    size_t size;
    double load_seconds;        /* Opening the artifact. */
    double image_seconds;       /* Slicing and resizing pictures. */
    double vision_seconds;      /* Vision phase, mapping its weights included. */
    double prefill_seconds;     /* Prefill phase, mapping its weights included. */
    double decode_seconds;      /* Decode phase and sampling, from the second token on. */
    double first_token_seconds; /* From mcv_say to the first token; 0 before it. */
    uint32_t threads;
    uint32_t slices;            /* Slices encoded. */
    uint32_t patches;           /* Patches in them. */
    uint32_t prefill_tokens;
    uint32_t decode_tokens;
    uint32_t answer_tokens;
    uint32_t context_tokens;    /* Rows of the KV cache in use. */
    uint32_t finish;            /* MCV_RUNNING, MCV_STOP, ... */
    uint64_t vision_mapped;     /* Bytes of weights mapped in the vision phase; 0 if it did not run. */
    uint64_t language_mapped;   /* The same for prefill. */
    uint64_t peak_resident;     /* Largest resident set of this process so far (Linux, Android; else 0). */
} mcv_stats_t;

/* Opens the artifact at `path`; `options` may be NULL. On success *session is a new session, else NULL and
 * mcv_error(NULL) says why. No weights are in memory before the first mcv_say. */
int mcv_open(const char *path, const mcv_options *options, mcv_session **session);

/* Puts a picture before the next mcv_say: 8-bit RGB, `height` rows of `width` pixels, `stride` bytes from row to row
 * (0: width * 3). The pixels are copied. */
int mcv_image_rgb(mcv_session *session, const uint8_t *pixels, uint32_t width, uint32_t height, size_t stride);

/* The same for a picture of a film: give them in their order, e.g. one for each second. Frames have no numbers, and each
 * is cut into at most `slices` beside its overview (0 or 1: not at all; 2 shows more, for three times the tokens). */
int mcv_frame_rgb(mcv_session *session, const uint8_t *pixels, uint32_t width, uint32_t height, size_t stride,
                  uint32_t slices);

/* As mcv_image_rgb from the bytes of a PNG, JPEG, WebP, BMP or GIF file; `name` is for messages and may be NULL. */
int mcv_image_file(mcv_session *session, const char *name, const uint8_t *bytes, size_t length);

/* Says `text`, with the pictures added before; returns when the model is ready to answer. `system` (NULL: the model's
 * default) is possible in the first turn of a conversation only. If it fails, the conversation is as it was before,
 * without the pictures. */
int mcv_say(mcv_session *session, const char *text, const char *system);

/* Gives the next piece of the answer: complete characters, sometimes "". *piece stays valid until the next mcv_next,
 * mcv_reset or mcv_close of this session; it is NULL at the answer's end. */
int mcv_next(mcv_session *session, const char **piece);

/* Abandons the turn another thread is in: its mcv_say returns MCV_CANCELLED, or its mcv_next gives NULL. Without
 * effect between turns. `session` must not be closed meanwhile. */
void mcv_cancel(mcv_session *session);

/* Fills *stats with the costs of the last turn so far, up to stats->size bytes. */
int mcv_stats(mcv_session *session, mcv_stats_t *stats);

/* Why the last failed call on `session` failed; with NULL: the last failed call without a session (mcv_open, or a
 * call with a null session) on this thread. Never NULL; "" if nothing failed. Valid until the next failure there. */
const char *mcv_error(mcv_session *session);

/* Begins a new conversation and drops pictures not yet used. The model stays open. */
int mcv_reset(mcv_session *session);

/* Closes the session and frees all its memory. NULL is allowed. No other call may be running. */
void mcv_close(mcv_session *session);

#ifdef __cplusplus
}
#endif

#endif
