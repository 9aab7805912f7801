/* SPDX-License-Identifier: BSD-3-Clause
 * c2n_routes.c - what the control server may ask this node
 *
 * The answers of a well-behaved client. What this node does not have (updates
 * of itself, app connectors, SSH) is answered in the form in which
 * upstream says "not here", never with a success that did nothing. Nothing that
 * tells secrets: preferences without keys, no dumps of memory.
 * Source: ipn/ipnlocal/c2n.go, tailcfg/c2ntypes.go, feature/{clientupdate,
 * posture,appconnectors}, ipn/ipnlocal/{cert,serve}.go, ssh/tailssh/c2n.go
 */
#include "core/localapi/c2n_routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/netmap_apply.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"
#include "core/node/node_serve.h"
#include "core/serve/vip_services.h"

#define JSON_TYPE "application/json"
#define TEXT_TYPE "text/plain; charset=utf-8"

struct c2n_call {
	struct ts_node *node;
	const struct ts_localapi_env *env; /* or NULL */
	void *env_ctx;
	const struct ts_c2n_request *request;
	struct ts_c2n_reply *reply;
	int64_t now_unix;
};

static void reply_error(const struct c2n_call *call, int status,
			const char *text)
{
	ts_c2n_reply_text(call->reply, status, TEXT_TYPE, text);
}

/* Takes over body. */
static void reply_json(const struct c2n_call *call, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(body);
	if (text)
		ts_c2n_reply_text(call->reply, 200, JSON_TYPE, text);
	else
		reply_error(call, 500, "out of memory");
	free(text);
}

static void echo(const struct c2n_call *call)
{
	size_t len = call->request->body_len;

	call->reply->body = malloc(len + 1);
	if (!call->reply->body) {
		reply_error(call, 500, "out of memory");
		return;
	}
	if (len > 0)
		memcpy(call->reply->body, call->request->body, len);
	call->reply->status = 200;
	call->reply->type = TEXT_TYPE;
	call->reply->body_len = len;
}

/* -- debug ---------------------------------------------------------------- */
static void prefs(const struct c2n_call *call)
{
	char *text = ts_prefs_to_json(ts_node_prefs(call->node), false);

	if (text)
		ts_c2n_reply_text(call->reply, 200, JSON_TYPE, text);
	else
		reply_error(call, 500, "out of memory");
	free(text);
}

static void health(const struct c2n_call *call)
{
	json_t *warnings = ts_node_health_warnings(call->node);
	json_t *body = json_object();

	if (json_object_size(warnings) == 0) {
		json_decref(warnings);
		warnings = json_null();
	}
	json_object_set_new(body, "Warnings", warnings);
	reply_json(call, body);
}

static void ignore_peer(void *ctx, struct ts_peer *peer)
{
	(void)ctx, (void)peer;
}

/* What the node's map would be after that first message; NULL: it makes no
 * sense. */
static json_t *candidate_netmap(const struct c2n_call *call, const json_t *json)
{
	struct ts_netmap_sink sink = {ignore_peer, ignore_peer, NULL};
	struct ts_netmap *map = ts_netmap_new();
	char *text = json_dumps(json, JSON_COMPACT);
	struct ts_map_response msg;
	json_t *out = NULL;
	unsigned changes;

	if (map && text &&
	    ts_map_response_read(text, strlen(text), &msg) == 0) {
		if (ts_netmap_apply(map, &msg, true, call->now_unix, &sink,
				    &changes) == 0)
			out = localapi_netmap_of(call->node, map);
		ts_map_response_deinit(&msg);
	}
	free(text);
	ts_netmap_free(map);
	return out;
}

/* As Go's zero value of that type. */
static json_t *zero_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_string("");
	case JSON_INTEGER:
	case JSON_REAL:
		return json_integer(0);
	case JSON_TRUE:
	case JSON_FALSE:
		return json_false();
	default:
		return json_null();
	}
}

static void omit(json_t *netmap, const json_t *fields)
{
	size_t i;
	json_t *field;

	json_array_foreach(fields, i, field) {
		const char *name = json_string_value(field);
		const json_t *value = name ? json_object_get(netmap, name)
					   : NULL;

		if (value)
			json_object_set_new(netmap, name, zero_of(value));
	}
}

/* Body: {"candidate": MapResponse, "omitFields": [...]}, all optional. */
static void netmap(const struct c2n_call *call)
{
	bool is_post = strcmp(call->request->method, "POST") == 0;
	json_t *body = NULL, *omitted, *candidate, *out = json_object();

	if (is_post)
		body = json_loadb((const char *)call->request->body,
				  call->request->body_len, TS_JSON_READ_FLAGS,
				  NULL);
	omitted = json_object_get(body, "omitFields");
	candidate = json_object_get(body, "candidate");
	if (json_is_object(candidate))
		json_object_set_new(out, "candidate",
				    candidate_netmap(call, candidate));
	json_object_set_new(out, "current", localapi_netmap(call->node));
	omit(json_object_get(out, "current"), omitted);
	omit(json_object_get(out, "candidate"), omitted);
	if (is_post && !json_is_object(body))
		reply_error(call, 400, "failed to decode request body");
	else if (json_is_object(candidate) &&
		 !json_object_get(out, "candidate"))
		reply_error(call, 400,
			    "failed to convert candidate MapResponse");
	else if (!is_post && strcmp(call->request->method, "GET") != 0)
		reply_error(call, 405, "method not allowed");
	else
		reply_json(call, json_incref(out));
	json_decref(out);
	json_decref(body);
}

static void metrics(const struct c2n_call *call)
{
	char *text = ts_node_client_metrics(call->node);

	if (!text) {
		reply_error(call, 500, "out of memory");
		return;
	}
	call->reply->status = 200;
	call->reply->type = "text/plain";
	call->reply->body = text;
	call->reply->body_len = strlen(text);
}

static void component_logging(const struct c2n_call *call)
{
	char component[64] = "", secs_text[16] = "", err[128];
	json_t *body = json_object();
	int64_t secs;

	ts_c2n_query(call->request, "component", component, sizeof(component));
	ts_c2n_query(call->request, "secs", secs_text, sizeof(secs_text));
	if (ts_int_parse(secs_text, &secs))
		secs = 0;
	localapi_show_component(call->env, call->env_ctx, component, secs,
				err);
	if (json_object_set_new(body, "Error", json_string(err)))
		json_object_set_new(body, "Error",
				    json_string("unknown component"));
	reply_json(call, body);
}

static void not_implemented(const struct c2n_call *call)
{
	reply_error(call, 501, "not implemented");
}

/* -- what there is none of ------------------------------------------------ */
static void flush_logs(const struct c2n_call *call)
{
	reply_error(call, 500, "no log flusher wired up");
}

static void sock_stats(const struct c2n_call *call)
{
	reply_error(call, 500, "no sockstatLogger");
}

static json_t *update_state(void)
{
	return json_pack("{s:b, s:b, s:b}", "Enabled", 0, "Supported", 0,
			 "Started", 0);
}

static void get_update(const struct c2n_call *call)
{
	reply_json(call, update_state());
}

static void post_update(const struct c2n_call *call)
{
	json_t *body = update_state();

	json_object_set_new(body, "Err", json_string("not enabled"));
	reply_json(call, body);
}

/* Nothing is looked at unless the user permits it. */
static void posture(const struct c2n_call *call)
{
	const json_t *prefs = ts_node_prefs(call->node)->unknown;
	char wanted[8];
	json_t *body;

	if (!call->env || !call->env->posture ||
	    !ts_json_bool(prefs, "PostureChecking")) {
		reply_json(call, json_pack("{s:b}", "PostureDisabled", 1));
		return;
	}
	ts_c2n_query(call->request, "hwaddrs", wanted, sizeof(wanted));
	body = call->env->posture(call->env_ctx, strcmp(wanted, "true") == 0);
	if (body)
		reply_json(call, body);
	else
		reply_error(call, 500, "out of memory");
}

static void app_connector(const struct c2n_call *call)
{
	reply_json(call, json_pack("{s:n}", "Domains"));
}

static void certificate(const struct c2n_call *call)
{
	char domain[254];

	if (!ts_c2n_query(call->request, "domain", domain, sizeof(domain)))
		reply_error(call, 400, "no 'domain'");
	else if (call->env && call->env->cert_status)
		reply_json(call, call->env->cert_status(call->env_ctx, domain));
	else
		reply_json(call, json_pack("{s:b}", "Missing", 1));
}

static void services(const struct c2n_call *call)
{
	json_t *list = ts_node_vip_services(call->node), *body = json_object();
	char hash[TS_GO_HASH_CAP] = "";

	if (!list || ts_vip_services_hash(list, hash)) {
		json_decref(list);
		json_decref(body);
		reply_error(call, 500, "out of memory");
		return;
	}
	if (json_array_size(list) > 0)
		json_object_set(body, "VIPServices", list);
	json_object_set_new(body, "ServicesHash", json_string(hash));
	json_decref(list);
	reply_json(call, body);
}

static void ssh_usernames(const struct c2n_call *call)
{
	reply_json(call, json_pack("{s:n}", "Usernames"));
}

static void netfilter_kind(const struct c2n_call *call)
{
	reply_error(call, 501, "this node does not use the kernel's netfilter");
}

static const struct {
	const char *method; /* NULL: any */
	const char *path;
	void (*serve)(const struct c2n_call *call);
} routes[] = {
	{NULL, "/echo", echo},
	{"POST", "/logtail/flush", flush_logs},
	{"POST", "/sockstats", sock_stats},
	{NULL, "/debug/prefs", prefs},
	{NULL, "/debug/health", health},
	{NULL, "/debug/netmap", netmap},
	{NULL, "/debug/metrics", metrics},
	{NULL, "/debug/component-logging", component_logging},
	{NULL, "/debug/goroutines", not_implemented},
	{NULL, "/debug/logheap", not_implemented},
	{NULL, "/debug/pprof/heap", not_implemented},
	{NULL, "/debug/pprof/allocs", not_implemented},
	{"GET", "/update", get_update},
	{"POST", "/update", post_update},
	{"GET", "/posture/identity", posture},
	{"GET", "/appconnector/routes", app_connector},
	{"GET", "/tls-cert-status", certificate},
	{"GET", "/vip-services", services},
	{NULL, "/ssh/usernames", ssh_usernames},
	{"POST", "/netfilter-kind", netfilter_kind},
};

void ts_localapi_c2n(struct ts_node *node,
		     const struct ts_localapi_env *env, void *env_ctx,
		     const struct ts_c2n_request *request,
		     struct ts_c2n_reply *reply, int64_t now_unix)
{
	struct c2n_call call = {node, env, env_ctx, request, reply, now_unix};
	bool is_known = false;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (strcmp(routes[i].path, request->path) != 0)
			continue;
		is_known = true;
		if (routes[i].method &&
		    strcmp(routes[i].method, request->method) != 0)
			continue;
		routes[i].serve(&call);
		return;
	}
	if (is_known)
		reply_error(&call, 405, "bad method");
}
