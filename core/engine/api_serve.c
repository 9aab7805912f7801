/* SPDX-License-Identifier: BSD-3-Clause
 * api_serve.c - the serve configuration, changed for a program's listeners
 * Source: ipn/serve.go (SetTCPForwardingForService, SetWebHandler)
 *
 * The configuration is read and written in one go on the engine's thread, so
 * that nobody else's change gets lost; preferences by the LocalAPI.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/engine/api_internal.h"
#include "core/engine/engine_internal.h"
#include "core/localapi/localapi.h"
#include "core/node/node_serve.h"
#include "core/serve/funnel_rule.h"

enum { PORT_CAP = 8, NAME_CAP = 300 };

/* -- on the engine's thread ----------------------------------------------- */

struct change {
	/* In *config, which it may replace; 1: it is as it should be. */
	int (*edit)(json_t **config, const struct change *c);
	const struct api_handler *handler;
	const char *target;
	bool on;
	uint16_t port;
	int code;
	char err[TS_SERVE_ERROR_CAP];
};

static void change_config(struct ts_engine *engine, void *ctx)
{
	struct change *c = ctx;
	const json_t *now = ts_node_serve(engine->node);
	json_t *config = now ? json_deep_copy(now) : json_object();

	c->code = config ? c->edit(&config, c) : -ENOMEM;
	if (!c->code)
		c->code = ts_localapi_set_serve(engine->localapi, config, NULL,
						ts_loop_now_ms(engine->loop),
						c->err);
	json_decref(config);
}

static int change(struct tsnet *ts, struct change *c)
{
	int code = ts_engine_thread_call(&ts->host, change_config, c);

	if (!code)
		code = c->code;
	if (code < 0)
		api_fail(ts, code, "%s",
			 c->err[0] ? c->err : ts_strerror(code));
	return code;
}

/* object[key], made if need be. NULL: out of memory. */
static json_t *child(json_t *object, const char *key)
{
	json_t *found = json_object_get(object, key);

	if (!found && json_object_set_new(object, key, json_object()) == 0)
		found = json_object_get(object, key);
	return found;
}

static void drop_if_empty(json_t *object, const char *key)
{
	if (json_object_size(json_object_get(object, key)) == 0)
		json_object_del(object, key);
}

/* -- a service's handlers ------------------------------------------------- */

static bool is_http(const struct tsnet_service *mode)
{
	return mode->kind == TSNET_SERVICE_HTTP ||
	       mode->kind == TSNET_SERVICE_HTTPS;
}

static json_t *tcp_handler(const struct api_handler *h)
{
	char forward[32];
	json_t *out;

	if (is_http(h->mode))
		return json_pack("{sb}", h->mode->kind == TSNET_SERVICE_HTTPS
						 ? "HTTPS" : "HTTP", 1);
	snprintf(forward, sizeof(forward), "127.0.0.1:%u", h->native_port);
	out = json_pack("{ss, si}", "TCPForward", forward, "ProxyProtocol",
			h->mode->proxy_protocol);
	if (h->mode->kind == TSNET_SERVICE_TLS &&
	    json_object_set_new(out, "TerminateTLS", json_string(h->fqdn))) {
		json_decref(out);
		out = NULL;
	}
	return out;
}

static void name_web(const struct api_handler *h, char out[static NAME_CAP])
{
	snprintf(out, NAME_CAP, "%s:%u", h->fqdn, h->mode->port);
}

/* Each mount has a proxy of its own, which may be given other capabilities. */
static int add_mount(json_t *handlers, const struct api_handler *h,
		     const char *path, const char *cap)
{
	const char *mount = *path ? path : "/";
	json_t *handler = json_object_get(handlers, mount), *caps;
	char *proxy = NULL;
	int err = 0;

	if (!handler) {
		if (asprintf(&proxy, "http://127.0.0.1:%u%s", h->native_port,
			     strcmp(mount, "/") == 0 ? "" : mount) < 0)
			return -ENOMEM;
		err = json_object_set_new(handlers, mount,
					  json_pack("{ss}", "Proxy", proxy));
		free(proxy);
		handler = json_object_get(handlers, mount);
	}
	if (err || !handler || !cap)
		return err || !handler ? -ENOMEM : 0;
	caps = json_object_get(handler, "AcceptAppCaps");
	if (!caps &&
	    json_object_set_new(handler, "AcceptAppCaps", json_array()) == 0)
		caps = json_object_get(handler, "AcceptAppCaps");
	return json_array_append_new(caps, json_string(cap)) ? -ENOMEM : 0;
}

static int add_web(json_t *service, const struct api_handler *h)
{
	const struct tsnet_app_cap *at = h->mode->app_caps;
	char name[NAME_CAP];
	json_t *handlers;
	int err;

	name_web(h, name);
	handlers = child(child(child(service, "Web"), name), "Handlers");
	err = add_mount(handlers, h, "/", NULL);
	for (; !err && at && at->path; at++)
		err = add_mount(handlers, h, at->path, at->cap);
	return err;
}

static int add_handler(json_t **config, const struct change *c)
{
	const struct api_handler *h = c->handler;
	json_t *service = child(child(*config, "Services"), h->service);
	json_t *ports = child(service, "TCP");
	char port[PORT_CAP];

	snprintf(port, sizeof(port), "%u", h->mode->port);
	if (json_object_get(ports, port))
		return -EEXIST;
	if (json_object_set_new(ports, port, tcp_handler(h)))
		return -ENOMEM;
	return is_http(h->mode) ? add_web(service, h) : 0;
}

static int remove_handler(json_t **config, const struct change *c)
{
	const struct api_handler *h = c->handler;
	json_t *services = json_object_get(*config, "Services");
	json_t *service = json_object_get(services, h->service);
	char port[PORT_CAP], name[NAME_CAP];

	if (!service)
		return 1;
	snprintf(port, sizeof(port), "%u", h->mode->port);
	name_web(h, name);
	json_object_del(json_object_get(service, "TCP"), port);
	json_object_del(json_object_get(service, "Web"), name);
	drop_if_empty(service, "TCP");
	drop_if_empty(service, "Web");
	drop_if_empty(services, h->service);
	drop_if_empty(*config, "Services");
	return 0;
}

int api_serve_add(struct tsnet *ts, const struct api_handler *h)
{
	struct change c = {.edit = add_handler, .handler = h};
	int code = change(ts, &c);

	return code == -EEXIST
		       ? api_fail(ts, code, "a Service handler already exists "
				  "for this port")
		       : code;
}

int api_serve_remove(struct tsnet *ts, const struct api_handler *h)
{
	struct change c = {.edit = remove_handler, .handler = h};
	int code = change(ts, &c);

	return code < 0 ? code : 0;
}

/* -- Funnel --------------------------------------------------------------- */

static int set_funnel(json_t **config, const struct change *c)
{
	json_t *next;

	if (ts_serve_lets_funnel(*config, c->target) == c->on)
		return 1;
	next = ts_serve_set_funnel(*config, c->target, c->on);
	if (!next)
		return -ENOMEM;
	json_decref(*config);
	*config = next;
	return 0;
}

int api_serve_funnel(struct tsnet *ts, const char *target, bool on,
		     bool *was_on)
{
	struct change c = {.edit = set_funnel, .target = target, .on = on};
	int code = change(ts, &c);

	*was_on = code == 1;
	return code < 0 ? code : 0;
}

static void check_funnel(struct ts_engine *engine, void *ctx)
{
	const struct ts_netmap *map = ts_node_netmap(engine->node);
	struct change *c = ctx;

	c->code = ts_funnel_check(map->self ? map->self->cap_map : NULL,
				  c->port, c->err);
}

int api_serve_may_funnel(struct tsnet *ts, uint16_t port)
{
	struct change c = {.port = port};
	int code = ts_engine_thread_call(&ts->host, check_funnel, &c);

	if (!code)
		code = c.code;
	return code ? api_fail(ts, code, "%s",
			       c.err[0] ? c.err : ts_strerror(code))
		    : 0;
}

static int set_localhost(json_t **config, const struct change *c)
{
	char forward[32], target[NAME_CAP];
	json_t *next;

	snprintf(forward, sizeof(forward), "127.0.0.1:%u", c->port);
	snprintf(target, sizeof(target), "%s:443", c->target);
	next = json_pack("{s{s{ss, ss}}, s{sb}}", "TCP", "443", "TCPForward",
			 forward, "TerminateTLS", c->target, "AllowFunnel",
			 target, 1);
	if (!next)
		return -ENOMEM;
	json_decref(*config);
	*config = next;
	return 0;
}

int api_serve_localhost(struct tsnet *ts, const char *domain, uint16_t port)
{
	struct change c = {
		.edit = set_localhost, .target = domain, .port = port};

	return change(ts, &c);
}

/* -- all of it ------------------------------------------------------------ */

static int clear(json_t **config, const struct change *c)
{
	(void)c;
	if (json_object_size(*config) == 0)
		return 1;
	json_object_clear(*config);
	return 0;
}

static int set_advertised(struct tsnet *ts, const json_t *names)
{
	json_t *edit = json_pack("{sO, sb}", "AdvertiseServices", names,
				 "AdvertiseServicesSet", 1);
	char *text = edit ? json_dumps(edit, JSON_COMPACT) : NULL;
	char *answer = NULL;

	json_decref(edit);
	if (text)
		answer = tsnet_local_send(ts, "PATCH", "/localapi/v0/prefs",
					  text);
	free(text);
	if (!answer)
		return -EIO; /* and why is said */
	free(answer);
	return 0;
}

static json_t *get_advertised(struct tsnet *ts)
{
	char *text = tsnet_local_request(ts, "GET", "/localapi/v0/prefs");
	json_t *prefs = text ? json_loads(text, 0, NULL) : NULL;
	json_t *names = json_object_get(prefs, "AdvertiseServices");

	names = json_is_array(names) ? json_deep_copy(names)
	      : prefs		     ? json_array()
				     : NULL;
	json_decref(prefs);
	free(text);
	return names;
}

int api_serve_clear(struct tsnet *ts)
{
	struct change c = {.edit = clear};
	int code = change(ts, &c);
	json_t *names = code < 0 ? NULL : get_advertised(ts);

	if (code < 0)
		return code;
	code = names ? 0 : -EIO;
	if (names && json_array_size(names) > 0) {
		json_array_clear(names);
		code = set_advertised(ts, names);
	}
	json_decref(names);
	return code;
}

static size_t find_name(const json_t *names, const char *service)
{
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
		if (strcmp(json_string_value(name), service) == 0)
			break;
	return i;
}

int api_serve_advertise(struct tsnet *ts, const char *service, bool on)
{
	json_t *names = get_advertised(ts);
	size_t i = find_name(names, service);
	bool is_on = names && i < json_array_size(names);
	int code = names ? 0 : -EIO;

	if (!code && is_on != on) {
		if (on)
			json_array_append_new(names, json_string(service));
		else
			json_array_remove(names, i);
		code = set_advertised(ts, names);
	}
	json_decref(names);
	return code;
}
