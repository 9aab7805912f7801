/* SPDX-License-Identifier: BSD-3-Clause
 * funnel_rule.c - which ports the internet may reach, and who may open them
 *
 * The tailnet's policy says so by capabilities of the node; the ports are in
 * the name of one of them, as a URL's query.
 */
#include "core/serve/funnel_rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/model/json_fields.h"

#define PORTS_CAP "https://tailscale.com/cap/funnel-ports"
#define PORTS_QUERY PORTS_CAP "?ports="

enum { PORTS_TEXT_CAP = 128 };

/* -- what is configured --------------------------------------------------- */

typedef bool (*funnel_fn)(const json_t *allowed, const char *target);

static bool any(const json_t *config, funnel_fn is_it, const char *target)
{
	const char *session;
	json_t *one;

	if (is_it(json_object_get(config, "AllowFunnel"), target))
		return true;
	json_object_foreach(json_object_get(config, "Foreground"), session, one)
		if (is_it(json_object_get(one, "AllowFunnel"), target))
			return true;
	return false;
}

static bool has_on(const json_t *allowed, const char *target)
{
	const char *key;
	json_t *on;

	(void)target;
	json_object_foreach((json_t *)(uintptr_t)allowed, key, on)
		if (json_is_true(on))
			return true;
	return false;
}

static bool has_entry(const json_t *allowed, const char *target)
{
	(void)target;
	return json_object_size(allowed) > 0;
}

static bool lets(const json_t *allowed, const char *target)
{
	return json_is_true(json_object_get(allowed, target));
}

bool ts_serve_is_funnel_on(const json_t *config)
{
	return any(config, has_on, NULL);
}

bool ts_serve_has_funnel(const json_t *config)
{
	return any(config, has_entry, NULL);
}

bool ts_serve_lets_funnel(const json_t *config, const char *target)
{
	return any(config, lets, target);
}

json_t *ts_serve_set_funnel(const json_t *config, const char *target, bool on)
{
	json_t *next = config ? json_deep_copy(config) : json_object(), *allowed;
	json_t *out = NULL;
	char err[TS_SERVE_ERROR_CAP];

	allowed = json_object_get(next, "AllowFunnel");
	if (!allowed) {
		json_object_set_new(next, "AllowFunnel", json_object());
		allowed = json_object_get(next, "AllowFunnel");
	}
	if (on)
		json_object_set_new(allowed, target, json_true());
	else
		json_object_del(allowed, target);
	if (next && ts_serve_normalise(next, &out, err))
		out = NULL;
	json_decref(next);
	return out;
}

/* -- what is permitted ---------------------------------------------------- */

static bool has_cap(const json_t *cap_map, const char *name)
{
	return json_object_get(cap_map, name) != NULL;
}

/* "443,8443,10000-10010", decoded; false: no such list is there. */
static bool find_ports(const json_t *cap_map, char out[static PORTS_TEXT_CAP])
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)cap_map, name, value) {
		const char *at = name + sizeof(PORTS_QUERY) - 1;
		size_t len = 0;

		if (strncmp(name, PORTS_QUERY, sizeof(PORTS_QUERY) - 1) != 0)
			continue;
		for (; *at && *at != '&' && len < PORTS_TEXT_CAP - 1; at++) {
			if (strncasecmp(at, "%2c", 3) == 0) {
				out[len++] = ',';
				at += 2;
			} else {
				out[len++] = *at;
			}
		}
		out[len] = '\0';
		return len > 0;
	}
	return false;
}

/* One entry, up to end: "443" or "10000-10010". */
static bool contains(const char *at, const char *end, uint16_t port)
{
	unsigned long first, last;
	char *stop;

	if (at == end || *at < '0' || *at > '9')
		return false;
	first = last = strtoul(at, &stop, 10);
	if (stop < end && *stop == '-' && stop[1] >= '0' && stop[1] <= '9')
		last = strtoul(stop + 1, &stop, 10);
	return stop == end && first <= port && port <= last &&
	       last <= UINT16_MAX;
}

static bool lists(const char *ports, uint16_t port)
{
	while (ports) {
		const char *comma = strchr(ports, ',');

		if (contains(ports, comma ? comma : ports + strlen(ports),
			     port))
			return true;
		ports = comma ? comma + 1 : NULL;
	}
	return false;
}

int ts_funnel_check(const json_t *cap_map, uint16_t port,
		    char err[static TS_SERVE_ERROR_CAP])
{
	char ports[PORTS_TEXT_CAP] = "";

	if (!has_cap(cap_map, "https")) {
		snprintf(err, TS_SERVE_ERROR_CAP,
			 "Funnel not available; HTTPS must be enabled. See "
			 "https://tailscale.com/s/https.");
		return -EPERM;
	}
	if (!has_cap(cap_map, "funnel")) {
		snprintf(err, TS_SERVE_ERROR_CAP,
			 "Funnel not available; \"funnel\" node attribute not "
			 "set. See https://tailscale.com/s/no-funnel.");
		return -EPERM;
	}
	if (find_ports(cap_map, ports) && lists(ports, port))
		return 0;
	snprintf(err, TS_SERVE_ERROR_CAP,
		 "port %u is not allowed for funnel%s%s", port,
		 ports[0] ? "; allowed ports are: " : "", ports);
	return -EPERM;
}
