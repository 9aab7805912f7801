/* SPDX-License-Identifier: BSD-3-Clause
 * localapi_internal.h - what the routes share
 */
#ifndef CORE_LOCALAPI_LOCALAPI_INTERNAL_H
#define CORE_LOCALAPI_LOCALAPI_INTERNAL_H

#include <jansson.h>

#include "core/localapi/localapi.h"

struct localapi_call {
	struct ts_node *node;
	const struct ts_localapi_request *request;
	uint64_t now_ms;
	int64_t now_unix;
	ts_localapi_done_fn done;
	void *ctx;
};

/* text: heap, taken; NULL becomes 500. type: static. */
void localapi_reply_text(const struct localapi_call *call, int status,
			 const char *type, char *text);
/* Take ownership of body. */
void localapi_reply_json(const struct localapi_call *call, int status,
			 json_t *body);
/* One line of plain text: the request makes no sense. */
void localapi_reply_error(const struct localapi_call *call, int status,
			  const char *text);
/* 500 with {"error": "..."}: the request does, but it could not be served. */
void localapi_reply_failure(const struct localapi_call *call,
			    const char *text);

/* node_json.c */
json_t *localapi_time(int64_t unix_s); /* RFC 3339; 0: Go's zero time */
json_t *localapi_key(const struct ts_public_key *key, const char *prefix);
json_t *localapi_ips(const struct ts_peer *peer); /* ["100.64.0.1", ...] */
json_t *localapi_prefixes(const struct ts_prefix *prefixes, size_t count);
json_t *localapi_texts(char *const *texts, size_t count);
/* tailcfg.Node */
json_t *localapi_peer_node(const struct ts_netmap *map,
			   const struct ts_peer *peer);
/* ["cap", ...], sorted: the names of a CapMap */
json_t *localapi_cap_names(const json_t *cap_map);
json_t *localapi_user(const struct ts_user_profile *user);

/* status_json.c */
json_t *localapi_status(const struct localapi_call *call, bool with_peers);
/* ping_route.c */
void localapi_ping(const struct localapi_call *call);
/* tka_routes.c */
void localapi_tka_status(const struct localapi_call *call);
void localapi_tka_log(const struct localapi_call *call);
/* tka_admin_routes.c */
void localapi_tka_sign(const struct localapi_call *call);
void localapi_tka_modify(const struct localapi_call *call);
void localapi_tka_init(const struct localapi_call *call);
void localapi_tka_disable(const struct localapi_call *call);
void localapi_tka_local_disable(const struct localapi_call *call);
void localapi_tka_wrap(const struct localapi_call *call);
void localapi_tka_affected(const struct localapi_call *call);
/* netcheck_route.c */
void localapi_netcheck(const struct localapi_call *call);

#endif
