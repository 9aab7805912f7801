/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_map_stream.c - the framing of a map response, zstd included; the first
 * byte says how large the pieces are
 */
#include <stddef.h>
#include <stdint.h>

#include "core/control/map_stream.h"

static int on_message(void *ctx, const char *json, size_t len)
{
	(void)ctx;
	return len > 0 && json[0] == 'k' ? TS_MAP_KEEP_ALIVE : TS_MAP_MESSAGE;
}

static void on_keep_alive(void *ctx)
{
	(void)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct ts_map_stream_ops ops = {on_message,
						     on_keep_alive};
	struct ts_map_stream stream;
	size_t piece;

	if (len == 0)
		return 0;
	piece = (size_t)data[0] + 1;
	data++;
	len--;
	ts_map_stream_init(&stream, &ops, NULL);
	while (len > 0) {
		size_t n = len < piece ? len : piece;

		if (ts_map_stream_input(&stream, data, n))
			break;
		data += n;
		len -= n;
	}
	ts_map_stream_deinit(&stream);
	return 0;
}
