/* SPDX-License-Identifier: BSD-3-Clause
 * wg_load.c - how many handshake messages we are willing to work on
 *
 * wireguard-go looks at the length of the queue before its handshake workers.
 * We work on each message as it comes and have no such queue, so it is
 * imagined: each message adds the time that WG_LOAD_WORK_PER_S grants it, and
 * that time drains as the clock runs. 400 messages' worth waiting is load: it
 * takes 128 there, but several workers.
 *
 * The table of sources is a fixed set-associative one, so that nobody can make
 * it grow; a source that was pushed out starts with a full burst again.
 */
#include "core/wireguard/wg_load.h"

#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"

enum {
	WORK_US = 1000000 / WG_LOAD_WORK_PER_S,
	COST_MS = 1000 / WG_SOURCE_PER_S,
	CREDIT_MAX_MS = COST_MS * WG_SOURCE_BURST,
	SET_COUNT = WG_SOURCES_MAX / WG_SOURCE_SET,
	IP6_NETWORK_LEN = 8,
};

void ts_wg_load_init(struct ts_wg_load *load)
{
	*load = (struct ts_wg_load){.seed = ts_random_u32()};
	ts_token_bucket_init(&load->proven, WG_PROVEN_PER_S, WG_PROVEN_BURST,
			     0);
}

void ts_wg_load_deinit(struct ts_wg_load *load)
{
	free(load->sources);
	load->sources = NULL;
}

bool ts_wg_load_is_high(struct ts_wg_load *load, uint64_t now_ms)
{
	uint64_t drained_us = (now_ms - load->drained_ms) * 1000;

	load->drained_ms = now_ms;
	if (drained_us >= load->waiting_us)
		load->waiting_us = 0;
	else
		load->waiting_us -= drained_us;
	if (load->waiting_us >= (uint64_t)WG_LOAD_QUEUE_MAX * WORK_US) {
		/* A full queue takes no more. */
		load->until_ms = now_ms + WG_LOAD_HOLD_MS;
		return true;
	}
	load->waiting_us += WORK_US;
	return now_ms < load->until_ms;
}

/* Whoever has an IPv6 address has its whole /64. */
static struct ts_ip network_of(const struct ts_ip *ip)
{
	struct ts_ip net = *ip;

	if (!ts_ip_is_v4(ip))
		memset(net.bytes + IP6_NETWORK_LEN, 0,
		       TS_IP_LEN - IP6_NETWORK_LEN);
	return net;
}

static struct ts_wg_source *set_of(struct ts_wg_load *load,
				   const struct ts_ip *net)
{
	uint32_t h = ts_ip_hash(net, load->seed);

	return load->sources + (size_t)(h % SET_COUNT) * WG_SOURCE_SET;
}

/* The source's entry, or the one to be given up for it. */
static struct ts_wg_source *find(struct ts_wg_load *load,
				 const struct ts_ip *net, uint64_t now_ms)
{
	struct ts_wg_source *set = set_of(load, net), *oldest = set;

	for (int i = 0; i < WG_SOURCE_SET; i++) {
		if (set[i].is_used && ts_ip_equal(&set[i].ip, net))
			return &set[i];
		if (!set[i].is_used ||
		    (oldest->is_used && set[i].seen_ms < oldest->seen_ms))
			oldest = &set[i];
	}
	*oldest = (struct ts_wg_source){.ip = *net,
					.seen_ms = now_ms,
					.credit_ms = CREDIT_MAX_MS,
					.is_used = true};
	return oldest;
}

bool ts_wg_load_may_reply(struct ts_wg_load *load, uint64_t now_ms)
{
	return ts_second_quota_take(&load->cookies, WG_COOKIES_PER_S, now_ms);
}

bool ts_wg_load_allows(struct ts_wg_load *load, const struct ts_ip *source,
		       bool is_vouched, uint64_t now_ms)
{
	struct ts_ip net = is_vouched ? *source : network_of(source);
	struct ts_wg_source *s;
	uint64_t credit;

	if (!load->sources)
		load->sources = calloc(WG_SOURCES_MAX, sizeof(*load->sources));
	if (!load->sources)
		return false;
	s = find(load, &net, now_ms);
	credit = s->credit_ms + (now_ms - s->seen_ms);
	s->credit_ms =
		credit < CREDIT_MAX_MS ? (uint32_t)credit : CREDIT_MAX_MS;
	s->seen_ms = now_ms;
	if (s->credit_ms < COST_MS ||
	    (!is_vouched && !ts_token_bucket_take(&load->proven, 1, now_ms)))
		return false;
	s->credit_ms -= COST_MS;
	return true;
}
