/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_upnp.c - one port mapping by UPnP: which requests, in which order
 * Source: net/portmapper/upnp.go; PROTOCOL 7.4
 */
#include "core/path/portmap_upnp.h"

#include <errno.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"

enum {
	HTTP_OK = 200,
	/* Gateways refuse lower ones, and 0 would be all ports. */
	PORT_MIN = 1024,
	RANK_NONE = -1,
	RANK_ANY = 0,
	RANK_CONNECTED = 1,
	RANK_HAS_IP = 2,
};

void ts_upnp_init(struct ts_upnp *u, const struct ts_upnp_ops *ops, void *ctx)
{
	*u = (struct ts_upnp){.ops = ops, .ctx = ctx, .end_ms = UINT64_MAX};
}

void ts_upnp_reset(struct ts_upnp *u, const struct ts_ip *gateway)
{
	if (u->step != UPNP_IDLE)
		u->ops->http_cancel(u->ctx);
	ts_upnp_init(u, u->ops, u->ctx);
	u->gateway = *gateway;
}

/* -- requests ------------------------------------------------------------- */

static void get(struct ts_upnp *u, const struct ts_igd_url *location)
{
	char url[IGD_URL_CAP];

	u->step = UPNP_DESCRIBING;
	u->ops->http(u->ctx, ts_igd_url_write(location, &u->gateway, url), NULL,
		     UPNP_DESCRIPTION_MS);
}

static void call(struct ts_upnp *u, const struct ts_igd_service *service,
		 enum ts_igd_action action, enum ts_upnp_step step,
		 unsigned timeout_ms)
{
	struct ts_igd_request request;
	char url[IGD_URL_CAP];

	u->step = step;
	ts_igd_write_request(service->kind, action, &u->mapping, &request);
	u->ops->http(u->ctx,
		     ts_igd_url_write(&service->control, &u->gateway, url),
		     &request, timeout_ms);
}

static void end(struct ts_upnp *u, int err, uint64_t now_ms)
{
	struct ts_addr external = {0};

	u->step = UPNP_IDLE;
	u->end_ms = UINT64_MAX;
	u->ops->created(u->ctx, err, &external, now_ms);
}

static void try_device(struct ts_upnp *u, uint64_t now_ms)
{
	if (u->device_at < u->devices.count)
		get(u, &u->devices.list[u->device_at].location);
	else
		end(u, -ENOENT, now_ms);
}

static void try_next_device(struct ts_upnp *u, uint64_t now_ms)
{
	/* The known service came first, and all devices follow. */
	if (u->has_service) {
		u->has_service = false;
		u->device_at = 0;
	} else {
		u->device_at++;
	}
	try_device(u, now_ms);
}

static uint16_t random_port(void)
{
	return (uint16_t)(PORT_MIN + ts_random_below(UINT16_MAX + 1 - PORT_MIN));
}

static void add(struct ts_upnp *u)
{
	u->may_exist = true;
	call(u, &u->service, IGD_ADD_PORT, UPNP_ADDING, UPNP_REQUEST_MS);
}

static void use_service(struct ts_upnp *u, const struct ts_igd_service *service)
{
	u->service = *service;
	u->port_tries = 1;
	add(u);
}

/* -- which service -------------------------------------------------------- */

static void look_at_service(struct ts_upnp *u)
{
	if (u->service_at == u->services.count)
		use_service(u, &u->best);
	else
		call(u, &u->services.list[u->service_at], IGD_GET_STATUS,
		     UPNP_ASKING_STATUS, UPNP_DESCRIPTION_MS);
}

static void note_service(struct ts_upnp *u, int rank)
{
	if (rank > u->best_rank) {
		u->best = u->services.list[u->service_at];
		u->best_rank = rank;
	}
	u->service_at++;
	look_at_service(u);
}

static void on_description(struct ts_upnp *u, int status, const char *body,
			   size_t len, uint64_t now_ms)
{
	const struct ts_ssdp_device *device = &u->devices.list[u->device_at];

	if (status != HTTP_OK ||
	    ts_igd_read_description(body, len, &device->location,
				    &u->services) != 0) {
		log_debug("portmap: upnp: no service at port %u, path %s",
			  device->location.port, device->location.path);
		try_next_device(u, now_ms);
		return;
	}
	if (u->services.count == 1) {
		use_service(u, &u->services.list[0]);
		return;
	}
	u->service_at = 0;
	u->best_rank = RANK_NONE;
	look_at_service(u);
}

static void on_status(struct ts_upnp *u, const struct ts_igd_answer *answer)
{
	if (answer && answer->is_connected)
		call(u, &u->services.list[u->service_at], IGD_GET_EXTERNAL_IP,
		     UPNP_ASKING_SERVICE_IP, UPNP_DESCRIPTION_MS);
	else
		note_service(u, RANK_ANY);
}

static void on_service_ip(struct ts_upnp *u, const struct ts_igd_answer *answer)
{
	if (!answer || ts_ip_is_unspecified(&answer->external_ip))
		note_service(u, RANK_CONNECTED);
	else if (ts_ip_is_private(&answer->external_ip))
		note_service(u, RANK_HAS_IP);
	else
		use_service(u, &u->services.list[u->service_at]);
}

/* -- the mapping ---------------------------------------------------------- */

/* Asks again in other words; false: there are none. */
static bool add_otherwise(struct ts_upnp *u, unsigned error)
{
	if ((error == IGD_ONLY_PERMANENT || error == IGD_INVALID_ARGS) &&
	    u->mapping.lease_s != 0) {
		u->mapping.lease_s = 0;
	} else if (error == IGD_CONFLICT && u->port_tries < UPNP_PORT_TRIES) {
		u->port_tries++;
		u->mapping.external_port = random_port();
	} else {
		return false;
	}
	add(u);
	return true;
}

static void on_added(struct ts_upnp *u, const struct ts_igd_answer *answer,
		     unsigned error, uint64_t now_ms)
{
	if (!answer) {
		if (add_otherwise(u, error))
			return;
		log_debug("portmap: upnp: refused with error %u", error);
		u->may_exist = error == 0; /* no answer: who knows */
		try_next_device(u, now_ms);
		return;
	}
	if (answer->reserved_port != 0)
		u->mapping.external_port = answer->reserved_port;
	call(u, &u->service, IGD_GET_EXTERNAL_IP, UPNP_ASKING_IP,
	     UPNP_REQUEST_MS);
}

static void on_external_ip(struct ts_upnp *u, const struct ts_igd_answer *answer,
			   uint64_t now_ms)
{
	struct ts_addr external = {.port = u->mapping.external_port};

	if (answer)
		external.ip = answer->external_ip;
	if (ts_ip_is_unspecified(&external.ip) ||
	    ts_ip_is_loopback(&external.ip)) {
		call(u, &u->service, IGD_DELETE_PORT, UPNP_UNDOING,
		     UPNP_DELETE_MS);
		return;
	}
	u->has_service = true;
	u->step = UPNP_IDLE;
	u->end_ms = UINT64_MAX;
	u->ops->created(u->ctx, 0, &external, now_ms);
}

static void on_undone(struct ts_upnp *u, uint64_t now_ms)
{
	u->may_exist = false;
	try_next_device(u, now_ms);
}

static void on_deleted(struct ts_upnp *u, uint64_t now_ms)
{
	u->step = UPNP_IDLE;
	u->end_ms = UINT64_MAX;
	u->may_exist = false;
	u->has_service = false;
	u->ops->deleted(u->ctx, now_ms);
}

/* -- from outside --------------------------------------------------------- */

void ts_upnp_create(struct ts_upnp *u, const struct ts_ip *client,
		    uint16_t internal_port, uint16_t wanted_port,
		    uint32_t lease_s, uint64_t now_ms)
{
	u->mapping = (struct ts_igd_mapping){
		.external_port = wanted_port < PORT_MIN ? random_port()
							: wanted_port,
		.internal_port = internal_port,
		.client = *client,
		.lease_s = lease_s,
	};
	u->end_ms = now_ms + UPNP_CREATE_MS;
	u->device_at = 0;
	if (u->has_service)
		use_service(u, &u->service);
	else
		try_device(u, now_ms);
}

void ts_upnp_delete(struct ts_upnp *u, uint64_t now_ms)
{
	if (u->step != UPNP_IDLE)
		u->ops->http_cancel(u->ctx);
	if (!u->may_exist) {
		on_deleted(u, now_ms);
		return;
	}
	u->end_ms = now_ms + UPNP_DELETE_MS;
	call(u, &u->service, IGD_DELETE_PORT, UPNP_DELETING, UPNP_DELETE_MS);
}

void ts_upnp_http_done(struct ts_upnp *u, int status, const char *body,
		       size_t len, uint64_t now_ms)
{
	struct ts_igd_answer read = {0};
	const struct ts_igd_answer *answer = NULL;

	if (u->step != UPNP_DESCRIBING && status != 0 &&
	    ts_igd_read_answer(body, len, &read) == 0 && status == HTTP_OK &&
	    read.error == 0)
		answer = &read;
	switch (u->step) {
	case UPNP_IDLE:
		break;
	case UPNP_DESCRIBING:
		on_description(u, status, body, len, now_ms);
		break;
	case UPNP_ASKING_STATUS:
		on_status(u, answer);
		break;
	case UPNP_ASKING_SERVICE_IP:
		on_service_ip(u, answer);
		break;
	case UPNP_ADDING:
		on_added(u, answer, read.error, now_ms);
		break;
	case UPNP_ASKING_IP:
		on_external_ip(u, answer, now_ms);
		break;
	case UPNP_UNDOING:
		on_undone(u, now_ms);
		break;
	case UPNP_DELETING:
		on_deleted(u, now_ms);
		break;
	}
}

uint64_t ts_upnp_deadline_ms(const struct ts_upnp *u)
{
	return u->end_ms;
}

void ts_upnp_tick(struct ts_upnp *u, uint64_t now_ms)
{
	if (now_ms < u->end_ms)
		return;
	u->ops->http_cancel(u->ctx);
	if (u->step == UPNP_DELETING)
		on_deleted(u, now_ms);
	else
		end(u, -ETIMEDOUT, now_ms);
}
