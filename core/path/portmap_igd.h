/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_igd.h - a UPnP gateway's description, questions and answers
 *
 * The services that can map a port, out of the device's description, and the
 * SOAP messages for them.
 * Source: UPnP WANIPConnection:1 and :2, WANPPPConnection:1; PROTOCOL 7.4
 */
#ifndef CORE_PATH_PORTMAP_IGD_H
#define CORE_PATH_PORTMAP_IGD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/path/portmap_ssdp.h"

enum {
	IGD_SERVICES_MAX = 8, /* more are passed over */
	IGD_REQUEST_CAP = 1536,
	IGD_ACTION_CAP = 96,
	IGD_ANSWER_MAX = 64 * 1024, /* bytes of a description or an answer */
};

/* In the order in which they are preferred. */
enum ts_igd_kind {
	IGD_WANIP2,
	IGD_WANIP1,
	IGD_WANPPP1,
	IGD_OLD_WANPPP1, /* before the forum's names were UPnP's */
	IGD_OLD_WANIP1,
};

struct ts_igd_service {
	enum ts_igd_kind kind;
	struct ts_igd_url control;
};

struct ts_igd_services {
	struct ts_igd_service list[IGD_SERVICES_MAX];
	size_t count;
};

/* 0, -EBADMSG (malformed) or -ENOENT (no service that maps ports). */
int ts_igd_read_description(const void *text, size_t len,
			    const struct ts_igd_url *location,
			    struct ts_igd_services *out);

enum ts_igd_action {
	IGD_GET_STATUS,
	IGD_GET_EXTERNAL_IP,
	IGD_ADD_PORT, /* AddAnyPortMapping where the service has it */
	IGD_DELETE_PORT,
};

struct ts_igd_mapping {
	uint16_t external_port, internal_port;
	struct ts_ip client;
	uint32_t lease_s; /* 0: for ever */
};

struct ts_igd_request {
	char action[IGD_ACTION_CAP]; /* the SOAPACTION field's value */
	char body[IGD_REQUEST_CAP];
};

/* mapping: for the last two, of which the last reads the external port only. */
void ts_igd_write_request(enum ts_igd_kind kind, enum ts_igd_action action,
			  const struct ts_igd_mapping *mapping,
			  struct ts_igd_request *out);

/* UPnPError codes that mean something to us. */
enum {
	IGD_INVALID_ARGS = 402,
	IGD_CONFLICT = 718,
	IGD_ONLY_PERMANENT = 725,
};

/* What was not in the answer is 0. */
struct ts_igd_answer {
	uint16_t reserved_port;
	struct ts_ip external_ip;
	bool is_connected;
	unsigned error; /* of a fault */
};

/* 0 or -EBADMSG. */
int ts_igd_read_answer(const void *text, size_t len,
		       struct ts_igd_answer *out);

#endif
