/* SPDX-License-Identifier: BSD-3-Clause
 * map_request_json.h - write a MapRequest
 * Source: tailcfg/tailcfg.go (MapRequest)
 */
#ifndef CORE_CONTROL_MAP_REQUEST_JSON_H
#define CORE_CONTROL_MAP_REQUEST_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"
#include "core/control/hostinfo_json.h"
#include "core/crypto/keys.h"

struct ts_map_request {
	bool is_stream; /* the long poll; else a lite update */
	struct ts_public_key node_key, disco_key;
	const struct ts_hostinfo *hostinfo;
	const struct ts_addr *endpoints;
	const int *endpoint_types;
	size_t endpoint_count;
	const char *tka_head; /* of Tailnet Lock; NULL or "": none */
};

/* Heap text, or NULL when out of memory. */
char *ts_map_request_write(const struct ts_map_request *request);

#endif
