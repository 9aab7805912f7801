/* SPDX-License-Identifier: BSD-3-Clause
 * map_stream.h - the framing of a map response body
 *
 * u32 LE size, then one zstd-compressed JSON message; over and over. A message
 * equal to the last keep-alive is recognised by its compressed bytes.
 * Source: PROTOCOL 4.2; control/controlclient/direct.go (sendMapRequest)
 */
#ifndef CORE_CONTROL_MAP_STREAM_H
#define CORE_CONTROL_MAP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/byte_queue.h"

enum { TS_MAP_MESSAGE_MAX = 256 << 20 }; /* compressed or not */

enum ts_map_message_kind {
	TS_MAP_MESSAGE,
	TS_MAP_KEEP_ALIVE,
	TS_MAP_STOP, /* like MESSAGE, but hold what follows until resumed */
};

struct ts_map_stream_ops {
	/* One complete message, valid during the call. Returns a kind, or a
	 * negative errno, which ends the stream. KEEP_ALIVE: the same bytes
	 * again need no decoding, keep_alive() is called instead. */
	int (*message)(void *ctx, const char *json, size_t len);
	void (*keep_alive)(void *ctx);
};

struct ts_map_stream {
	struct ts_byte_queue in;
	struct ts_map_stream_ops ops;
	void *ctx;
	uint8_t *last_keep_alive; /* compressed */
	size_t last_keep_alive_len;
	bool is_paused;
};

void ts_map_stream_init(struct ts_map_stream *s,
			const struct ts_map_stream_ops *ops, void *ctx);
void ts_map_stream_deinit(struct ts_map_stream *s);
/* 0, -EMSGSIZE (a message over the limit), -EBADMSG (zstd), -ENOMEM, or what
 * message() returned. The stream is over after an error. */
int ts_map_stream_input(struct ts_map_stream *s, const uint8_t *data,
			size_t len);
/* Go on after TS_MAP_STOP; handles what was held. */
int ts_map_stream_resume(struct ts_map_stream *s);
/* Bytes of an incomplete message: the end of the stream cut it. */
bool ts_map_stream_is_partial(const struct ts_map_stream *s);

#endif
