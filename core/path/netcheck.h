/* SPDX-License-Identifier: BSD-3-Clause
 * netcheck.h - probes to the DERP regions: latency, our public addresses
 *
 * A check sends binding requests to the regions' nodes and ends with a report:
 * when all answered, when enough regions did (three) and as much time again
 * has passed as the slowest took, after 1.5 s without any answer, or after
 * 3 s. A full check asks every region, an incremental one the fastest three
 * and home. Nodes that the map gives by name are asked once the name's address
 * is known.
 *
 * Where nobody answered, UDP is blocked: then one node of each region is asked
 * by HTTPS for its latency, for another 3 s, so that home is near all the same.
 * Source: net/netcheck/netcheck.go, PROTOCOL 7.2
 */
#ifndef CORE_PATH_NETCHECK_H
#define CORE_PATH_NETCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/model/netmap.h"
#include "core/path/stun.h"

enum {
	NETCHECK_REGIONS_MAX = 256, /* more are not measured */
	NETCHECK_TRIES = 3,
	NETCHECK_TRY_SPACING_MS = 100,
	NETCHECK_ENOUGH_REGIONS = 3,
	NETCHECK_SILENCE_MS = 1500,
	NETCHECK_LIMIT_MS = 3000,
	NETCHECK_HTTPS_MAX = 16, /* regions asked by HTTPS at once */
	NETCHECK_HTTPS_LIMIT_MS = 3000,
	NETCHECK_MAPPED_MAX = 8,
};

struct ts_netcheck_region {
	int id;
	bool has_latency, has_v4, has_v6; /* answered at all, by family */
	bool has_https;
	uint64_t latency_us, v4_us, v6_us; /* the best; by family */
};

struct ts_netcheck_mapped {
	struct ts_addr addr;
	unsigned seen; /* how many servers saw us there */
};

struct ts_netcheck_report {
	struct ts_netcheck_region *regions; /* heap, those that were asked */
	size_t region_count;
	/* Our public addresses in the order they were learned. */
	struct ts_netcheck_mapped mapped[NETCHECK_MAPPED_MAX];
	size_t mapped_count;
	enum ts_tristate mapping_varies; /* IPv4, by destination */
	enum ts_tristate working_udp;    /* unknown: nobody could be asked */
	enum ts_tristate working_ipv6;   /* by UDP */
	uint64_t started_ms;
};

struct ts_netcheck_ops {
	void (*send)(void *ctx, const struct ts_addr *to, const uint8_t *pkt,
		     size_t len);
	/* What is known of a name, without waiting. May be NULL: nothing. */
	bool (*find)(void *ctx, const char *host, bool want_v6,
		     struct ts_ip *out);
	/* How long does this node take to answer by HTTPS? Answered with
	 * ts_netcheck_https(). May be NULL. */
	void (*https)(void *ctx, int region, const struct ts_derp_node *node);
	/* None of those answers is wanted any more. */
	void (*https_cancel)(void *ctx);
	/* The check ended. The report is valid during the call, from which no
	 * other check may be started. */
	void (*done)(void *ctx, const struct ts_netcheck_report *report,
		     uint64_t now_ms);
};

struct ts_netcheck_probe;

struct ts_netcheck {
	const struct ts_netcheck_ops *ops;
	void *ctx;
	bool is_running, is_full;
	bool no_stun; /* by HTTPS alone; set before a start */
	const struct ts_derp_map *map; /* while it runs */
	size_t https_count;            /* answers by HTTPS that are missing */
	bool is_https;                 /* the second phase */
	struct ts_netcheck_probe *probes; /* heap */
	size_t probe_count;
	uint64_t stop_ms;
	struct ts_netcheck_report report, last;
	struct ts_addr first_v4_server, first_v4_mapped;
};

void ts_netcheck_init(struct ts_netcheck *n, const struct ts_netcheck_ops *ops,
		      void *ctx);
void ts_netcheck_deinit(struct ts_netcheck *n);
/* Starts over when one is running. home 0: none. Incremental when full is
 * false and there was a report before. The map must stay until done() or
 * ts_netcheck_cancel(). 0 or -ENOMEM. done() may come before this returns. */
int ts_netcheck_start(struct ts_netcheck *n, const struct ts_derp_map *map,
		      int home, bool full, uint64_t now_ms);
void ts_netcheck_cancel(struct ts_netcheck *n);
/* False: nobody asked for it, or it is no answer. */
bool ts_netcheck_input(struct ts_netcheck *n, const uint8_t *pkt, size_t len,
		       uint64_t now_ms);
/* latency_us 0: no answer. */
void ts_netcheck_https(struct ts_netcheck *n, int region, uint64_t latency_us,
		       uint64_t now_ms);
uint64_t ts_netcheck_deadline_ms(const struct ts_netcheck *n);
void ts_netcheck_tick(struct ts_netcheck *n, uint64_t now_ms);

#endif
