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
#include "core/base/second_quota.h"
#include "core/base/token_bucket.h"

enum {
	/* As many waiting: under load. Two hundred peers that come back at
	 * once, and call us as we call them, are none. */
	WG_LOAD_QUEUE_MAX = 400,
	WG_LOAD_WORK_PER_S = 500,
	WG_LOAD_HOLD_MS = 1000, /* under load for so long after */

	/* Cookies for strangers: more would cost what they are to save. */
	WG_COOKIES_PER_S = 5000,
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
	struct ts_second_quota cookies;
	struct ts_token_bucket proven; /* what all sources may spend */
	struct ts_wg_source *sources; /* made at the first load */
	uint32_t seed;
};

void ts_wg_load_init(struct ts_wg_load *load);
void ts_wg_load_deinit(struct ts_wg_load *load);
/* One handshake message with a right mac1 came: are we under load? */
bool ts_wg_load_is_high(struct ts_wg_load *load, uint64_t now_ms);
/* Under load: may one more be sent a cookie? */
bool ts_wg_load_may_reply(struct ts_wg_load *load, uint64_t now_ms);
/* Under load: may this source have one more? Its mac2 was right, or a relay
 * vouches for it; then it is a peer, and has no part in what strangers have. */
bool ts_wg_load_allows(struct ts_wg_load *load, const struct ts_ip *source,
		       bool is_vouched, uint64_t now_ms);

#endif
