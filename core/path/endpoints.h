/* SPDX-License-Identifier: BSD-3-Clause
 * endpoints.h - at which addresses peers may reach us
 *
 * The list that goes to control and into CallMeMaybe: the port that the
 * gateway maps to us, what STUN servers saw (kept for 5 min 10 s after it was
 * last seen, as a NAT may still hold the mapping), a guess behind a hard NAT,
 * what the user says, then our interfaces' addresses. It is not known before
 * the first check of the network ended.
 * Source: wgengine/magicsock/{magicsock,endpoint_tracker}.go, PROTOCOL 6.7
 */
#ifndef CORE_PATH_ENDPOINTS_H
#define CORE_PATH_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	ENDPOINTS_LOCAL_MAX = 35,
	ENDPOINTS_STUN_MAX = 16, /* the longest unseen gives way */
	ENDPOINTS_STATIC_MAX = 8,
	ENDPOINTS_MAX = ENDPOINTS_LOCAL_MAX + ENDPOINTS_STUN_MAX +
			ENDPOINTS_STATIC_MAX + 2 /* guess, mapping */,
	ENDPOINTS_STUN_KEEP_MS = 310000,
	ENDPOINTS_FRESH_MS = 27000,
};

/* tailcfg.EndpointType */
enum ts_endpoint_type {
	TS_ENDPOINT_UNKNOWN = 0,
	TS_ENDPOINT_LOCAL = 1,
	TS_ENDPOINT_STUN = 2,
	TS_ENDPOINT_PORT_MAPPED = 3,
	TS_ENDPOINT_STUN_LOCAL_PORT = 4,
	TS_ENDPOINT_STATIC = 5,
};

struct ts_stun_endpoint {
	struct ts_addr addr;
	uint64_t seen_ms;
};

struct ts_endpoints {
	struct ts_addr local[ENDPOINTS_LOCAL_MAX];
	size_t local_count;
	struct ts_stun_endpoint stun[ENDPOINTS_STUN_MAX]; /* best first */
	size_t stun_count;
	struct ts_addr fixed[ENDPOINTS_STATIC_MAX]; /* from the settings */
	size_t fixed_count;
	struct ts_addr guess; /* port 0: none */
	struct ts_addr port_mapping; /* port 0: none */
	bool is_checked; /* a network check has ended */
	uint64_t fresh_until_ms;
	/* the outcome */
	struct ts_addr addrs[ENDPOINTS_MAX];
	int types[ENDPOINTS_MAX];
	size_t count;
};

/* Each returns whether the outcome changed. */
bool ts_endpoints_set_local(struct ts_endpoints *e, const struct ts_addr *addrs,
			    size_t count);
/* What the user says about how to reach us; once, at the start. */
void ts_endpoints_set_static(struct ts_endpoints *e,
			     const struct ts_addr *addrs, size_t count);
/* Behind a NAT that maps each destination to another port, whoever chose a
 * fixed port may have had it forwarded: our public address with that port.
 * NULL: there is no such NAT. */
bool ts_endpoints_set_guess(struct ts_endpoints *e, const struct ts_addr *addr);
/* NULL: there is none. */
bool ts_endpoints_set_port_mapping(struct ts_endpoints *e,
				   const struct ts_addr *addr);
/* A check ended and saw us at these, the best first. */
bool ts_endpoints_checked(struct ts_endpoints *e, const struct ts_addr *seen,
			  size_t count, uint64_t now_ms);
/* We are in another network: what STUN saw is void. */
void ts_endpoints_network_changed(struct ts_endpoints *e);

#endif
