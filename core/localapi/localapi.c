/* SPDX-License-Identifier: BSD-3-Clause
 * localapi.c - routes of the LocalAPI and its checks
 *
 * A table of routes; what is not in it is 404 with the path in the text, so
 * that a CLI verb that this version does not serve says so. Browsers are kept
 * out by their Referer and Origin headers, as upstream does.
 */
#include "core/localapi/localapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/localapi/localapi_internal.h"

#define API "/localapi/v0/"

void localapi_reply_text(const struct localapi_call *call, int status,
			 const char *type, char *text)
{
	struct ts_localapi_reply reply = {
		.status = text ? status : 500,
		.content_type = type,
		.body = text,
		.body_len = text ? strlen(text) : 0,
	};

	call->done(call->ctx, &reply);
}

void localapi_reply_json(const struct localapi_call *call, int status,
			 json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(body);
	localapi_reply_text(call, status, "application/json", text);
}

void localapi_reply_error(const struct localapi_call *call, int status,
			  const char *text)
{
	char *line = NULL;

	if (asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	localapi_reply_text(call, status, "text/plain; charset=utf-8", line);
}

void localapi_reply_failure(const struct localapi_call *call, const char *text)
{
	json_t *body = json_object();

	json_object_set_new(body, "error", json_string(text));
	localapi_reply_json(call, 500, body);
}

static const char *query(const struct localapi_call *call, const char *name)
{
	return call->request->query(call->request->query_ctx, name);
}

/* -- routes --------------------------------------------------------------- */
static void get_status(const struct localapi_call *call)
{
	const char *peers = query(call, "peers");
	bool with_peers = !peers || strcmp(peers, "false") != 0;

	localapi_reply_json(call, 200, localapi_status(call, with_peers));
}

static bool is_node_key(const char *text)
{
	return strncmp(text, TS_PREFIX_NODE, strlen(TS_PREFIX_NODE)) == 0;
}

static const struct ts_peer *find_by_key(const struct ts_netmap *map,
					 const struct ts_public_key *key)
{
	const struct ts_peer *peer = ts_netmap_peer_by_key(map, key);

	if (!peer && map->self && ts_public_key_equal(&map->self->key, key))
		peer = map->self;
	return peer;
}

/* "ip", "ip:port", "[v6]:port" or a node key. *problem: why the text is none
 * of these. */
static const struct ts_peer *find_whois(const struct localapi_call *call,
					const char *text, const char **problem)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const struct ts_peer *peer;
	struct ts_public_key key;
	struct ts_addr addr;

	*problem = NULL;
	if (is_node_key(text)) {
		if (ts_public_key_parse(text, TS_PREFIX_NODE, &key) == 0)
			return find_by_key(map, &key);
		*problem = "invalid nodekey in 'addr' parameter";
		return NULL;
	}
	if (ts_ip_parse(text, &addr.ip) && ts_addr_parse(text, &addr)) {
		*problem = "invalid 'addr' parameter";
		return NULL;
	}
	peer = ts_node_whois(call->node, &addr.ip);
	/* By address, an owner that nobody knows is no owner. */
	return peer && ts_netmap_user(map, peer->user) ? peer : NULL;
}

static json_t *peer_caps(const struct localapi_call *call,
			 const struct ts_peer *peer)
{
	json_t *caps = NULL;

	if (peer->address_count > 0)
		caps = ts_node_peer_caps(call->node, &peer->addresses[0].ip);
	if (json_object_size(caps) > 0)
		return caps;
	json_decref(caps);
	return json_null();
}

static void reply_whois(const struct localapi_call *call,
			const struct ts_peer *peer)
{
	static const struct ts_user_profile nobody;
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const struct ts_user_profile *user = ts_netmap_user(map, peer->user);
	json_t *body = json_object();

	json_object_set_new(body, "Node", localapi_peer_node(map, peer));
	json_object_set_new(body, "UserProfile",
			    localapi_user(user ? user : &nobody));
	json_object_set_new(body, "CapMap", peer_caps(call, peer));
	localapi_reply_json(call, 200, body);
}

static void get_whois(const struct localapi_call *call)
{
	const char *addr = query(call, "addr");
	const char *problem = "missing 'addr' parameter";
	const struct ts_peer *peer = NULL;

	if (addr && *addr)
		peer = find_whois(call, addr, &problem);
	if (peer)
		reply_whois(call, peer);
	else if (problem)
		localapi_reply_error(call, 400, problem);
	else
		localapi_reply_error(call, 404, "no match for IP:port");
}

static void get_prefs(const struct localapi_call *call)
{
	localapi_reply_text(call, 200, "application/json",
		   ts_prefs_to_json(ts_node_prefs(call->node), false));
}

static void get_derp_map(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);

	localapi_reply_json(call, 200,
			    map->derp_map && map->derp_map->raw
				    ? json_incref(map->derp_map->raw)
				    : json_null());
}

/* `tailscale status` asks for funnel lines after the status. */
static void get_serve_config(const struct localapi_call *call)
{
	localapi_reply_json(call, 200, json_object());
}

static const struct {
	const char *method, *path;
	bool writes;
	void (*serve)(const struct localapi_call *call);
} routes[] = {
	{"GET", API "status", false, get_status},
	{"GET", API "whois", false, get_whois},
	{"GET", API "prefs", false, get_prefs},
	{"GET", API "derpmap", false, get_derp_map},
	{"GET", API "serve-config", false, get_serve_config},
	{"POST", API "ping", false, localapi_ping},
	{"POST", API "netcheck", false, localapi_netcheck},
	{"GET", API "tka/status", false, localapi_tka_status},
	{"GET", API "tka/log", false, localapi_tka_log},
	{"POST", API "tka/sign", true, localapi_tka_sign},
	{"POST", API "tka/modify", true, localapi_tka_modify},
	{"POST", API "tka/init", true, localapi_tka_init},
	{"POST", API "tka/disable", true, localapi_tka_disable},
	{"POST", API "tka/force-local-disable", true,
	 localapi_tka_local_disable},
	{"POST", API "tka/wrap-preauth-key", true, localapi_tka_wrap},
	{"POST", API "tka/affected-sigs", false, localapi_tka_affected},
};

static bool is_from_browser(const struct ts_localapi_request *rq)
{
	return (rq->referer && *rq->referer) || (rq->origin && *rq->origin);
}

static bool host_is_ours(const char *host)
{
	return !host || !*host ||
	       strcasecmp(host, "local-tailscaled.sock") == 0;
}

static void dispatch(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	bool path_known = false;
	char text[160];

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (strcmp(rq->path, routes[i].path) != 0)
			continue;
		path_known = true;
		if (strcmp(rq->method, routes[i].method) != 0)
			continue;
		if (routes[i].writes && !rq->may_write)
			localapi_reply_error(call, 403, "access denied");
		else
			routes[i].serve(call);
		return;
	}
	snprintf(text, sizeof(text), "%.16s %.100s: %s", rq->method, rq->path,
		 path_known ? "method not allowed" : "not served by this node");
	localapi_reply_error(call, path_known ? 405 : 404, text);
}

void ts_localapi_handle(struct ts_node *node,
			const struct ts_localapi_request *request,
			uint64_t now_ms, int64_t now_unix,
			ts_localapi_done_fn done, void *ctx)
{
	struct localapi_call call = {.node = node, .request = request,
				     .now_ms = now_ms, .now_unix = now_unix,
				     .done = done, .ctx = ctx};

	if (is_from_browser(request) || !host_is_ours(request->host))
		localapi_reply_error(&call, 403, "invalid localapi request");
	else if (strcmp(request->path, "/") == 0)
		localapi_reply_text(&call, 200, "text/plain", strdup("tailscaled\n"));
	else
		dispatch(&call);
}
