/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_map_response.c - decode a map message and apply it twice: as the first
 * of a poll and as a delta
 */
#include <stddef.h>
#include <stdint.h>

#include "core/control/netmap_apply.h"
#include "core/crypto/secret.h"

static void ignore_peer(void *ctx, struct ts_peer *peer)
{
	(void)ctx;
	(void)peer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct ts_netmap_sink sink = {ignore_peer, ignore_peer,
						   NULL};
	struct ts_netmap *map;
	unsigned changes;

	if (ts_crypto_init())
		return 0;
	map = ts_netmap_new();
	for (int i = 0; map && i < 3; i++) {
		struct ts_map_response msg;

		if (ts_map_response_read((const char *)data, len, &msg))
			break;
		ts_netmap_apply(map, &msg, i == 0, 1700000000 + i, &sink,
				&changes);
		ts_map_response_deinit(&msg);
	}
	ts_netmap_free(map);
	return 0;
}
