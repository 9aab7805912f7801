/* SPDX-License-Identifier: BSD-3-Clause
 * netcheck_plan.h - which probes a measurement sends (private to netcheck.c)
 */
#ifndef CORE_PATH_NETCHECK_PLAN_H
#define CORE_PATH_NETCHECK_PLAN_H

#include "core/path/netcheck.h"

struct ts_netcheck_probe {
	size_t region; /* index in report.regions */
	bool is_v6;
	struct ts_addr to;
	uint64_t at_ms;   /* to be sent */
	uint64_t sent_ms; /* once is_sent */
	bool is_sent, is_answered;
	uint8_t tx_id[STUN_TX_ID_LEN];
};

/* Fills n->probes and n->report.regions. home: ours, or 0. 0 or -ENOMEM. */
int ts_netcheck_plan(struct ts_netcheck *n, const struct ts_derp_map *map,
		     int home, uint64_t now_ms);
/* Did any region answer by that family? */
bool ts_netcheck_answered_by(const struct ts_netcheck_report *report, bool v6);

#endif
