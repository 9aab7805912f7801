/* SPDX-License-Identifier: BSD-3-Clause
 * wg_load.h - how many handshake messages we are willing to work on
 *
 * A handshake costs six X25519 multiplications, so strangers could keep a
 * core busy. Three measures: are we under load as a whole (then cookies are
 * asked for), how much does one address that proved itself get, and how much
 * do all of those, since somebody may have thousands.
 */
#ifndef CORE_WIREGUARD_WG_LOAD_H
#define CORE_WIREGUARD_WG_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	WG_LOAD_QUEUE_MAX = 128, /* as many waiting: under load */
	WG_LOAD_WORK_PER_S = 500,
	WG_LOAD_HOLD_MS = 1000, /* under load for so long after */

	WG_PROVEN_PER_S = 1000, /* of all sources that proved themselves */
	WG_PROVEN_BURST = 250,
	WG_SOURCE_PER_S = 20,
	WG_SOURCE_BURST = 5,
	WG_SOURCES_MAX = 1024, /* the least recently used of a set goes */
	WG_SOURCE_SET = 4,
};

struct ts_wg_source {
	struct ts_ip ip; /* IPv6: the /64 */
	uint64_t seen_ms;
	uint32_t credit_ms; /* one message costs 1000 / WG_SOURCE_PER_S */
	bool is_used;
};

struct ts_wg_load {
	uint64_t drained_ms;          /* waiting_ms is as of then */
	uint64_t waiting_us;          /* work that a queue would hold, in us */
	uint64_t until_ms;            /* under load until then */
	uint64_t proven_ms;           /* proven_us is as of then */
	uint64_t proven_us;           /* what all sources may spend */
	struct ts_wg_source *sources; /* made at the first load */
	uint32_t seed;
};

void ts_wg_load_init(struct ts_wg_load *load);
void ts_wg_load_deinit(struct ts_wg_load *load);
/* One handshake message with a right mac1 came: are we under load? */
bool ts_wg_load_is_high(struct ts_wg_load *load, uint64_t now_ms);
/* Under load, mac2 was right: may this source have one more? */
bool ts_wg_load_allows(struct ts_wg_load *load, const struct ts_ip *source,
		       uint64_t now_ms);

#endif
