/* SPDX-License-Identifier: BSD-3-Clause
 * portmap.h - a UDP port of the gateway that is ours
 *
 * Sans-IO. Told of a gateway, it looks which of NAT-PMP, PCP and UPnP that one
 * speaks, asks for a mapping of our UDP port, keeps it, and gives it back.
 * Source: net/portmapper/portmapper.go; RFC 6886, RFC 6887; PROTOCOL 7.4
 */
#ifndef CORE_PATH_PORTMAP_H
#define CORE_PATH_PORTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/flood.h"
#include "core/base/log.h"
#include "core/model/netmap.h"
#include "core/path/portmap_upnp.h"
#include "core/path/portmap_wire.h"

enum {
	PORTMAP_LIFETIME_S = 7200, /* asked for, and believed at most */
	PORTMAP_LIFETIME_MIN_S = 4, /* below it is no mapping */
	PORTMAP_PROBE_MS = 250,
	PORTMAP_MORE_MS = 50, /* after the first answer, for a better one */
	/* SSDP devices may take their time: MX, and a little. */
	PORTMAP_SSDP_MS = 2250,
	PORTMAP_ASK_TRIES = 3, /* 250, 500, 1000 ms */
	PORTMAP_RELEASE_TRIES = 2,
	PORTMAP_RELEASE_MS = 125, /* for each */
	PORTMAP_RENEW_MIN_MS = 4000, /* RFC 6887, 11.2.1 */
	/* Has the gateway forgotten us? One packet; by UPnP only a renewal
	 * tells, which is two requests. */
	PORTMAP_CHECK_MS = 120000,
	PORTMAP_UPNP_CHECK_MS = 600000,
	/* Without a mapping: until the next search, doubled each time. */
	PORTMAP_REST_MS = 60000,
	PORTMAP_REST_MAX_MS = 600000,
	/* Of one kind's datagrams: one search may well have as many answers in
	 * a network full of devices, but no second one follows. */
	PORTMAP_FLOOD_PER_S = 100,
};

enum ts_portmap_kind { PORTMAP_PMP, PORTMAP_PCP, PORTMAP_UPNP };
enum { PORTMAP_KINDS = 3 };
const char *ts_portmap_kind_name(enum ts_portmap_kind kind);

/* What the gateway speaks, by enum ts_portmap_kind. */
struct ts_portmap_found {
	enum ts_tristate by_kind[PORTMAP_KINDS];
};

struct ts_portmap_ops {
	void (*udp_send)(void *ctx, const struct ts_addr *to, const void *data,
			 size_t len);
	/* As in ts_upnp_ops; answered with ts_portmap_http_done(). */
	void (*http)(void *ctx, const char *url,
		     const struct ts_igd_request *request,
		     unsigned timeout_ms);
	void (*http_cancel)(void *ctx);
	/* We can be reached there; NULL: no more. */
	void (*changed)(void *ctx, const struct ts_addr *external);
	void (*found)(void *ctx, const struct ts_portmap_found *found);
};

/* Which gateway, and what of ours is behind it. gateway ::: there is none. */
struct ts_portmap_network {
	struct ts_ip gateway, own;
	uint16_t port;
};

enum ts_portmap_state {
	PORTMAP_OFF,
	PORTMAP_PROBING,
	PORTMAP_ASKING, /* by NAT-PMP or PCP */
	PORTMAP_ASKING_UPNP,
	PORTMAP_HELD,
	PORTMAP_RESTING,
	PORTMAP_RELEASING,
};

struct ts_portmap_epoch {
	bool is_known;
	uint32_t epoch_s;
	uint64_t at_ms;
};

struct ts_portmap {
	const struct ts_portmap_ops *ops;
	void *ctx;
	enum ts_portmap_state state;
	uint64_t timer_ms; /* of the state; UINT64_MAX: none */
	struct ts_portmap_network network;
	bool is_off[PORTMAP_KINDS]; /* not to be asked by */
	bool is_closing; /* after the release: nothing more */

	/* the search */
	uint64_t probed_ms;
	bool window_is_over; /* who has not answered is not there */
	struct ts_portmap_found found, told;
	bool was_tried[PORTMAP_KINDS]; /* in this round */
	unsigned failures; /* since there was a mapping that was renewed */

	/* the request under way, and what came back of it */
	enum ts_portmap_kind kind; /* of this, or of the mapping */
	unsigned tries;
	struct ts_ip pmp_ip; /* :: not known in this round */
	struct ts_pxp_response pmp_map;
	bool has_pmp_map;
	uint8_t nonce[PCP_NONCE_LEN]; /* ours, for good */
	struct ts_portmap_epoch epochs[PORTMAP_UPNP];
	uint64_t doubted_ms;
	struct ts_upnp upnp;

	/* the mapping */
	bool has_mapping;
	bool is_asked_for; /* the gateway may have one of ours */
	struct ts_addr external; /* port: also what we would like to have */
	uint64_t until_ms, renew_ms, check_ms;
	struct ts_portmap_network next; /* after the release */
	struct ts_log_limit limit;
	struct ts_flood floods[PORTMAP_KINDS];
};

void ts_portmap_init(struct ts_portmap *p, const struct ts_portmap_ops *ops,
		     void *ctx);
/* At the start, and whenever something may have changed: with the same again
 * the mapping is looked after, with another one it is released first. A
 * gateway that is not a private IPv4 address counts as none. */
void ts_portmap_set_network(struct ts_portmap *p,
			    const struct ts_portmap_network *network,
			    uint64_t now_ms);
/* A mapping by UPnP is released when UPnP is no longer wanted. */
void ts_portmap_allow_upnp(struct ts_portmap *p, bool allowed, uint64_t now_ms);
/* By no other kind; before the first network. */
void ts_portmap_allow_only(struct ts_portmap *p, enum ts_portmap_kind kind);
/* Give the mapping back, and do nothing any more; is_released() when that is
 * done, within a second. */
void ts_portmap_release(struct ts_portmap *p, uint64_t now_ms);
bool ts_portmap_is_released(const struct ts_portmap *p);
/* A datagram for our socket, or to the announcements' port. */
void ts_portmap_input(struct ts_portmap *p, const struct ts_addr *from,
		      const uint8_t *pkt, size_t len, uint64_t now_ms);
void ts_portmap_http_done(struct ts_portmap *p, int status, const char *body,
			  size_t len, uint64_t now_ms);
uint64_t ts_portmap_deadline_ms(const struct ts_portmap *p);
void ts_portmap_tick(struct ts_portmap *p, uint64_t now_ms);

#endif
