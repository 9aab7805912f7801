/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_upnp.h - one port mapping by UPnP: which requests, in which order
 *
 * Sans-IO: one HTTP request at a time goes out by an op, its answer comes
 * back by ts_upnp_http_done(). All requests go to the gateway.
 *
 *   description -> status and address of each service, where there are
 *   several -> AddPortMapping -> GetExternalIPAddress -> done()
 *
 * Devices are tried in turn. A mapping that turns out to be useless is taken
 * back before the next device is tried.
 */
#ifndef CORE_PATH_PORTMAP_UPNP_H
#define CORE_PATH_PORTMAP_UPNP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/path/portmap_igd.h"

enum {
	UPNP_DESCRIPTION_MS = 1000,
	UPNP_REQUEST_MS = 3000,
	UPNP_DELETE_MS = 1000,
	UPNP_CREATE_MS = 5000, /* all requests together */
	UPNP_PORT_TRIES = 3,   /* others have the port already */
};

struct ts_upnp_ops {
	/* request NULL: GET. Answered with ts_upnp_http_done(), not from
	 * inside. Copied. */
	void (*http)(void *ctx, const char *url,
		     const struct ts_igd_request *request,
		     unsigned timeout_ms);
	/* No answer to what is under way. */
	void (*http_cancel)(void *ctx);
	/* Creating ended; err 0: at this address, for so long (at most what was
	 * asked for). Nothing else may be called from it but
	 * ts_upnp_create() and ts_upnp_delete(). */
	void (*created)(void *ctx, int err, const struct ts_addr *external,
			uint64_t now_ms);
	/* Deleting ended, one way or the other. */
	void (*deleted)(void *ctx, uint64_t now_ms);
};

enum ts_upnp_step {
	UPNP_IDLE,
	UPNP_DESCRIBING,
	UPNP_ASKING_STATUS,
	UPNP_ASKING_SERVICE_IP,
	UPNP_ADDING,
	UPNP_ASKING_IP,
	UPNP_UNDOING,
	UPNP_DELETING,
};

struct ts_upnp {
	const struct ts_upnp_ops *ops;
	void *ctx;
	enum ts_upnp_step step;
	struct ts_ip gateway;
	struct ts_ssdp_devices devices;
	size_t device_at; /* the one that is tried; count: the known service */
	struct ts_igd_services services; /* of that device */
	size_t service_at;
	struct ts_igd_service best; /* of those looked at */
	int best_rank;
	struct ts_igd_service service; /* that is used */
	bool has_service;	       /* it has worked: it comes first */
	bool may_exist;		       /* an AddPortMapping was sent */
	struct ts_igd_mapping mapping;
	unsigned port_tries;
	uint64_t end_ms; /* UINT64_MAX: no limit under way */
};

void ts_upnp_init(struct ts_upnp *u, const struct ts_upnp_ops *ops, void *ctx);
/* Another gateway, or a new search: what was learned is void, and what is
 * under way is forgotten. */
void ts_upnp_reset(struct ts_upnp *u, const struct ts_ip *gateway);
/* Idle only. wanted_port 0: any. The fields of the mapping that are not the
 * gateway's are the caller's: client and internal port. */
void ts_upnp_create(struct ts_upnp *u, const struct ts_ip *client,
		    uint16_t internal_port, uint16_t wanted_port,
		    uint32_t lease_s, uint64_t now_ms);
/* Ends creating without a word; deleted() follows, maybe before this returns
 * (nothing to delete). */
void ts_upnp_delete(struct ts_upnp *u, uint64_t now_ms);
/* status 0: no answer. */
void ts_upnp_http_done(struct ts_upnp *u, int status, const char *body,
		       size_t len, uint64_t now_ms);
uint64_t ts_upnp_deadline_ms(const struct ts_upnp *u);
void ts_upnp_tick(struct ts_upnp *u, uint64_t now_ms);

#endif
