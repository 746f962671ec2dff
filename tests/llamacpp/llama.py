"""llama.cpp through its Python package's plain bindings: a model, contexts of it, its vision part."""

import ctypes
import time

from checkpoint import Fault

try:
    import llama_cpp as api
    import numpy as np
    from llama_cpp import mtmd_cpp as mtmd
except ImportError as why:
    raise Fault(f"{why.name} is missing: pip install llama-cpp-python") from why

# A callback must outlive the library's use of it.
SILENCE = api.llama_log_callback(lambda level, text, data: None)
# As mcv-run puts a question to the model.
CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def picture(size):
    """The bytes of a picture `WIDTHxHEIGHT`, RGB rows from the top: mcv-bench's own, so both see the same."""
    width, height = (int(n) for n in size.split("x"))
    i = np.arange(width * height * 3, dtype=np.uint64)
    return width, height, (i * i // 97 % 251).astype(np.uint8)


class Model:
    """A GGUF language model."""

    def __init__(self, path, threads):
        api.llama_log_set(SILENCE, None)
        mtmd.mtmd_log_set(SILENCE, None)
        mtmd.mtmd_helper_log_set(SILENCE, None)
        api.llama_backend_init()
        self.threads = threads
        self.handle = api.llama_model_load_from_file(str(path).encode(), api.llama_model_default_params())
        if not self.handle:
            raise Fault(f"{path}: llama.cpp does not read it; make it with convert.py")
        self.vocab = api.llama_model_get_vocab(self.handle)
        self.tokens = api.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text, special=False):
        """Token ids of a text; names of special tokens in it are such tokens only if `special`."""
        room = (api.llama_token * (len(text.encode()) + 8))()
        count = api.llama_tokenize(self.vocab, text.encode(), len(text.encode()), room, len(room), False, special)
        if count < 0:
            raise Fault("the text has more tokens than bytes")
        return list(room[:count])

    def text(self, ids):
        """The text of tokens; special ones have none."""
        parts = []
        for token in ids:
            room = ctypes.create_string_buffer(256)
            count = api.llama_token_to_piece(self.vocab, token, room, len(room), 0, False)
            parts.append(room.raw[: max(count, 0)])
        return b"".join(parts).decode(errors="replace")


class Context:
    """A cache of `size` rows, at first empty."""

    def __init__(self, model, size, every_row=False):
        params = api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = size, 512, 512
        params.n_threads = params.n_threads_batch = model.threads
        if every_row:
            params.n_outputs_max = params.n_outputs_max_per_seq = 512
        self.model = model
        self.handle = api.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise Fault(f"llama.cpp gives no context of {size} rows")
        self.memory = api.llama_get_memory(self.handle)
        self.used = 0

    def keep(self, rows):
        """Forgets all but the first rows."""
        api.llama_memory_seq_rm(self.memory, 0, rows, -1)
        self.used = rows

    def feed(self, ids):
        """Appends tokens, 512 at a time; logits of the last remain."""
        for start in range(0, len(ids), 512):
            part = (api.llama_token * len(ids[start : start + 512]))(*ids[start : start + 512])
            if api.llama_decode(self.handle, api.llama_batch_get_one(part, len(part))) != 0:
                raise Fault(f"llama_decode fails at {self.used} rows")
            self.used += len(part)
        api.llama_synchronize(self.handle)

    def likeliest(self):
        """The likeliest next token."""
        row = api.llama_get_logits_ith(self.handle, -1)
        return int(np.ctypeslib.as_array(row, (self.model.tokens,)).argmax())

    def logits(self, ids):
        """f32 `[len(ids), tokens]` of the next token after each of `ids`, from an empty cache; at most 512 ids."""
        self.keep(0)
        batch = api.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, 1
        failed = api.llama_decode(self.handle, batch)
        api.llama_batch_free(batch)
        if failed:
            raise Fault(f"llama_decode fails on {len(ids)} tokens")
        rows = [api.llama_get_logits_ith(self.handle, i) for i in range(len(ids))]
        return np.stack([np.ctypeslib.as_array(row, (self.model.tokens,)).copy() for row in rows])


class Vision:
    """Vision tower and resampler beside a language model."""

    def __init__(self, path, model):
        params = mtmd.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.warmup, params.print_timings = False, model.threads, False, False
        self.model = model
        self.handle = mtmd.mtmd_init_from_file(str(path).encode(), model.handle, params)
        if not self.handle:
            raise Fault(f"{path}: llama.cpp does not read it; make it with convert.py")

    def chunks(self, size, question):
        """A question about a picture, cut into slices."""
        width, height, pixels = picture(size)
        bitmap = mtmd.mtmd_bitmap_init(width, height, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        text = CHAT.format("<__media__>\n" + question).encode()
        chunks = mtmd.mtmd_input_chunks_init()
        asked = mtmd.mtmd_input_text(text, len(text), False, True)
        list_of_one = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        if mtmd.mtmd_tokenize(self.handle, chunks, ctypes.byref(asked), list_of_one, 1) != 0:
            raise Fault(f"llama.cpp can't cut a picture of {size}")
        mtmd.mtmd_bitmap_free(bitmap)
        return chunks

    def encode(self, size):
        """Seconds for encoding a picture, and its slices. Cutting it counts, as with mcv-bench."""
        started = time.perf_counter()
        chunks, slices = self.chunks(size, "?"), 0
        for i in range(mtmd.mtmd_input_chunks_size(chunks)):
            chunk = mtmd.mtmd_input_chunks_get(chunks, i)
            if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE:
                slices += 1
                if mtmd.mtmd_encode_chunk(self.handle, chunk) != 0:
                    raise Fault(f"slice {slices} of a picture of {size} can't be encoded")
        seconds = time.perf_counter() - started
        mtmd.mtmd_input_chunks_free(chunks)
        return seconds, slices

    def ask(self, context, size, question):
        """Feeds a question about a picture; returns the rows that it takes."""
        chunks, rows = self.chunks(size, question), api.llama_pos(0)
        failed = mtmd.mtmd_helper_eval_chunks(self.handle, context.handle, chunks, 0, 0, 512, True, ctypes.byref(rows))
        if failed:
            raise Fault(f"a picture of {size} can't be answered")
        return rows.value
