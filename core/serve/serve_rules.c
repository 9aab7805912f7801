/* SPDX-License-Identifier: BSD-3-Clause
 * serve_rules.c - which serve configuration may follow which, and who may ask
 * Source: ipn/ipnlocal/serve.go (validateServeConfigUpdate), ipn/serve.go
 *   (HasPathHandler, IsServingUnixAny)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/serve/serve_private.h"

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* -- who may ask for it --------------------------------------------------- */

static bool is_unix(const char *target)
{
	return target && strncmp(target, "unix:", 5) == 0;
}

static bool web_needs_admin(const json_t *webs)
{
	json_t *root = (json_t *)(uintptr_t)webs, *web, *handler;
	const char *host, *mount;

	json_object_foreach(root, host, web) {
		json_object_foreach(json_object_get(web, "Handlers"), mount,
				    handler)
			if (text_of(handler, "Path") ||
			    is_unix(text_of(handler, "Proxy")))
				return true;
	}
	return false;
}

static bool one_needs_admin(const json_t *config)
{
	const char *port;
	json_t *tcp;

	json_object_foreach(json_object_get(config, "TCP"), port, tcp)
		if (is_unix(text_of(tcp, "TCPForward")))
			return true;
	return web_needs_admin(json_object_get(config, "Web"));
}

bool ts_serve_needs_admin(const json_t *config)
{
	static const char *const inner[] = {"Services", "Foreground"};
	const char *name;
	json_t *one;

	if (one_needs_admin(config))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(inner); i++)
		json_object_foreach(json_object_get(config, inner[i]), name,
				    one)
			if (ts_serve_needs_admin(one))
				return true;
	return false;
}

/* -- one after the other -------------------------------------------------- */

static const char *type_of(const json_t *tcp)
{
	struct ts_serve_tcp t;

	serve_read_tcp(tcp, &t);
	if (t.http)
		return "http";
	if (t.https)
		return "https";
	if (t.terminate_tls)
		return "tls-terminated-tcp";
	return t.forward ? "tcp" : "unknownServeType";
}

static bool same_types(const json_t *now, const json_t *next,
		       const char *service, char err[static TS_SERVE_ERROR_CAP])
{
	const char *port;
	json_t *tcp;

	json_object_foreach(json_object_get(next, "TCP"), port, tcp) {
		bool is_foreground;
		uint16_t number = (uint16_t)strtoul(port, NULL, 10);
		const json_t *old = service
			? serve_port_of(now, number)
			: serve_find_port(now, number, &is_foreground);

		if (!old || strcmp(type_of(old), type_of(tcp)) == 0)
			continue;
		snprintf(err, TS_SERVE_ERROR_CAP,
			 "want to serve \"%s\", but port %u is already serving "
			 "\"%s\"%s%.64s", type_of(tcp), number, type_of(old),
			 service ? " for " : "", service ? service : "");
		return false;
	}
	return true;
}

/* A new watcher's ports must be free, and watchers' ports are taken. */
static bool ports_are_free(const json_t *now, const json_t *next,
			   char err[static TS_SERVE_ERROR_CAP])
{
	const char *session, *port;
	bool is_foreground;
	json_t *one, *tcp;

	json_object_foreach(json_object_get(next, "Foreground"), session, one) {
		if (ts_serve_has_session(now, session))
			continue;
		json_object_foreach(json_object_get(one, "TCP"), port, tcp) {
			if (!serve_find_port(now, (uint16_t)strtoul(port, NULL, 10),
				       &is_foreground))
				continue;
			snprintf(err, TS_SERVE_ERROR_CAP,
				 "listener already exists for port %s", port);
			return false;
		}
	}
	json_object_foreach(json_object_get(next, "TCP"), port, tcp) {
		if (!serve_find_port(now, (uint16_t)strtoul(port, NULL, 10),
			       &is_foreground) || !is_foreground)
			continue;
		snprintf(err, TS_SERVE_ERROR_CAP,
			 "foreground listener already exists for port %s", port);
		return false;
	}
	return true;
}

static bool has_handlers(const json_t *service)
{
	return json_object_get(service, "TCP") ||
	       json_object_get(service, "Web");
}

static bool is_tun(const json_t *service)
{
	return json_is_true(json_object_get(service, "Tun"));
}

static bool service_may_follow(const char *name, const json_t *now,
			       const json_t *next,
			       char err[static TS_SERVE_ERROR_CAP])
{
	const char *what = NULL;

	if (is_tun(next) && has_handlers(next))
		what = "cannot configure TUN mode in combination with TCP or "
		       "web handlers for";
	else if (!same_types(now, next, name, err))
		return false;
	else if (is_tun(next) && has_handlers(now))
		what = "cannot turn on TUN mode with existing TCP or web "
		       "handlers for";
	else if (has_handlers(next) && is_tun(now))
		what = "cannot add TCP or web handlers as TUN mode is enabled "
		       "for";
	if (what)
		snprintf(err, TS_SERVE_ERROR_CAP, "%s %.64s", what, name);
	return !what;
}

bool ts_serve_may_follow(const json_t *now, const json_t *next,
			 char err[static TS_SERVE_ERROR_CAP])
{
	const char *name;
	json_t *service;

	if (!ports_are_free(now, next, err) ||
	    !same_types(now, next, NULL, err))
		return false;
	json_object_foreach(json_object_get(next, "Services"), name, service)
		if (!service_may_follow(name, serve_service_of(now, name), service,
					err))
			return false;
	return true;
}
