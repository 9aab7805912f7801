/* SPDX-License-Identifier: BSD-3-Clause
 * disco_pings.h - the pings to one peer that wait for a pong
 *
 * Each ends once: answered, out of time, or given up. Several may belong to a
 * probe (a "tailscale ping"), which the first pong answers.
 */
#ifndef CORE_PATH_DISCO_PINGS_H
#define CORE_PATH_DISCO_PINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/path/disco_wire.h"
#include "core/path/path_addr.h"

enum {
	DISCO_PING_TIMEOUT_MS = 5000,
	DISCO_PINGS_MAX = 256, /* more are not sent */
};

/* A "tailscale ping": several pings, the first pong ends it. */
typedef void (*ts_disco_probe_fn)(void *ctx, int err, uint64_t latency_us,
				  const struct ts_path_addr *to, bool is_derp);
struct ts_disco_probe {
	ts_disco_probe_fn fn;
	void *fn_ctx;
	size_t pings; /* outstanding */
	int err;      /* 0: answered, and the rest is set */
	uint64_t latency_us;
	struct ts_path_addr to;
	bool is_derp;
	struct ts_disco_probe *next; /* for whoever collects finished ones */
};

struct ts_disco_sent {
	struct ts_disco_sent *next;
	uint8_t tx_id[DISCO_TX_ID_LEN];
	struct ts_path_addr to; /* not set: DERP */
	size_t wire;            /* padded to make such an IP packet; or 0 */
	uint64_t sent_ms;
	struct ts_disco_probe *probe; /* or NULL */
};

struct ts_disco_pings {
	struct ts_disco_sent *first, **last; /* oldest first */
	size_t count;
};

void ts_disco_pings_init(struct ts_disco_pings *l);
/* With a new TxID; to NULL: DERP. NULL: there are too many, or no memory. */
struct ts_disco_sent *ts_disco_pings_add(struct ts_disco_pings *l,
					 const struct ts_path_addr *to,
					 size_t wire,
					 struct ts_disco_probe *probe,
					 uint64_t now_ms);
/* Off the list: the caller ends its probe and frees it. NULL: none. */
struct ts_disco_sent *
ts_disco_pings_take(struct ts_disco_pings *l,
		    const uint8_t tx_id[static DISCO_TX_ID_LEN]);
struct ts_disco_sent *ts_disco_pings_take_expired(struct ts_disco_pings *l,
						  uint64_t now_ms);
struct ts_disco_sent *ts_disco_pings_take_first(struct ts_disco_pings *l);
uint64_t ts_disco_pings_deadline_ms(const struct ts_disco_pings *l);
/* The probe that is over now, or NULL. */
struct ts_disco_probe *ts_disco_pings_answered(struct ts_disco_pings *l,
					       struct ts_disco_sent *ping,
					       uint64_t latency_us);
struct ts_disco_probe *ts_disco_pings_given_up(struct ts_disco_sent *ping,
					       int err);

#endif
