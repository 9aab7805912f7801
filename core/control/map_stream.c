/* SPDX-License-Identifier: BSD-3-Clause
 * map_stream.c - the framing of a map response body
 *
 * Bytes are queued until one message is whole, then it is decompressed into a
 * buffer that lives for the call. Frames say how large their contents are, or
 * do not; either way the output grows only as real data comes out, up to the
 * limit, so a lying header costs nothing. Several frames in one message are
 * their concatenation.
 * Source: control/controlclient/direct.go, util/zstdframe
 */
#include "core/control/map_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/base/wire.h"

enum {
	SIZE_LEN = 4,
	/* Upstream takes windows up to 512 MiB; more than a whole message has
	 * no use. */
	WINDOW_LOG_MAX = 28,
	FIRST_ROOM = 4096,
	TRUSTED_SIZE_MAX = 1 << 20,
	KEEP_ALIVE_MAX = 1024,
};

void ts_map_stream_init(struct ts_map_stream *s,
			const struct ts_map_stream_ops *ops, void *ctx)
{
	*s = (struct ts_map_stream){.ops = *ops, .ctx = ctx};
	/* Room for one message and for what came in the same piece. */
	ts_byte_queue_init(&s->in, (size_t)TS_MAP_MESSAGE_MAX + (1 << 20));
}

void ts_map_stream_deinit(struct ts_map_stream *s)
{
	ts_byte_queue_deinit(&s->in);
	free(s->last_keep_alive);
	s->last_keep_alive = NULL;
	s->last_keep_alive_len = 0;
}

static int grow_output(ZSTD_outBuffer *out)
{
	size_t size = out->size * 2;
	void *grown;

	if (out->size >= TS_MAP_MESSAGE_MAX)
		return -EMSGSIZE;
	if (size > TS_MAP_MESSAGE_MAX)
		size = TS_MAP_MESSAGE_MAX;
	grown = realloc(out->dst, size);
	if (!grown)
		return -ENOMEM;
	out->dst = grown;
	out->size = size;
	return 0;
}

/* A first guess; the frame header is only believed when it is modest. */
static size_t first_room(const uint8_t *data, size_t len)
{
	unsigned long long said = ZSTD_getFrameContentSize(data, len);

	if (said == ZSTD_CONTENTSIZE_UNKNOWN || said == ZSTD_CONTENTSIZE_ERROR)
		return FIRST_ROOM;
	if (said > TRUSTED_SIZE_MAX)
		return TRUSTED_SIZE_MAX;
	return said > FIRST_ROOM ? (size_t)said : FIRST_ROOM;
}

static int decompress_into(ZSTD_DCtx *dctx, ZSTD_inBuffer *in,
			   ZSTD_outBuffer *out)
{
	size_t left_in_frame = 1;

	/* A full output may hide bytes that the decoder still holds. */
	while (in->pos < in->size || left_in_frame != 0) {
		size_t in_before = in->pos, out_before = out->pos;
		int err;

		left_in_frame = ZSTD_decompressStream(dctx, out, in);
		if (ZSTD_isError(left_in_frame))
			return -EBADMSG;
		if (out->pos == out->size) {
			err = left_in_frame || in->pos < in->size
				      ? grow_output(out)
				      : 0;
			if (err)
				return err;
		} else if (in->pos == in_before && out->pos == out_before) {
			return -EBADMSG; /* cut short */
		}
	}
	return 0;
}

static int decompress(const uint8_t *data, size_t len, ZSTD_outBuffer *out)
{
	ZSTD_inBuffer in = {.src = data, .size = len};
	ZSTD_DCtx *dctx = ZSTD_createDCtx();
	int err = -ENOMEM;

	out->size = first_room(data, len);
	out->dst = malloc(out->size);
	if (dctx && out->dst &&
	    !ZSTD_isError(ZSTD_DCtx_setParameter(dctx, ZSTD_d_windowLogMax,
						 WINDOW_LOG_MAX)))
		err = decompress_into(dctx, &in, out);
	ZSTD_freeDCtx(dctx);
	return err;
}

static void remember_keep_alive(struct ts_map_stream *s, const uint8_t *data,
				size_t len)
{
	uint8_t *copy;

	if (len > KEEP_ALIVE_MAX)
		return;
	copy = malloc(len);
	if (!copy)
		return;
	memcpy(copy, data, len);
	free(s->last_keep_alive);
	s->last_keep_alive = copy;
	s->last_keep_alive_len = len;
}

static int take_message(struct ts_map_stream *s, const uint8_t *data,
			size_t len)
{
	ZSTD_outBuffer out = {0};
	int kind;

	if (s->last_keep_alive && len == s->last_keep_alive_len &&
	    memcmp(data, s->last_keep_alive, len) == 0) {
		s->ops.keep_alive(s->ctx);
		return 0;
	}
	kind = decompress(data, len, &out);
	if (kind == 0)
		kind = s->ops.message(s->ctx, out.dst, out.pos);
	free(out.dst);
	if (kind == TS_MAP_KEEP_ALIVE)
		remember_keep_alive(s, data, len);
	if (kind == TS_MAP_STOP)
		s->is_paused = true;
	return kind < 0 ? kind : 0;
}

/* 1: took one message; 0: none is complete */
static int step(struct ts_map_stream *s)
{
	struct ts_reader r = ts_reader_init(ts_byte_queue_data(&s->in),
					    ts_byte_queue_len(&s->in));
	uint32_t size = ts_read_le32(&r);
	const uint8_t *data;
	int err;

	if (r.bad || s->is_paused)
		return 0;
	if (size > TS_MAP_MESSAGE_MAX)
		return -EMSGSIZE;
	data = ts_read_view(&r, size);
	if (!data)
		return 0;
	err = take_message(s, data, size);
	ts_byte_queue_drop(&s->in, SIZE_LEN + (size_t)size);
	return err ? err : 1;
}

static int run(struct ts_map_stream *s)
{
	int err;

	while ((err = step(s)) > 0)
		;
	/* A first netmap may have needed megabytes; hours may pass until the
	 * next message of that size. */
	if (ts_byte_queue_len(&s->in) == 0)
		ts_byte_queue_deinit(&s->in);
	return err;
}

int ts_map_stream_input(struct ts_map_stream *s, const uint8_t *data,
			size_t len)
{
	int err = ts_byte_queue_push(&s->in, data, len);

	return err ? err : run(s);
}

int ts_map_stream_resume(struct ts_map_stream *s)
{
	s->is_paused = false;
	return run(s);
}

bool ts_map_stream_is_partial(const struct ts_map_stream *s)
{
	return ts_byte_queue_len(&s->in) > 0;
}
