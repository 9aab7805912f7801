/* SPDX-License-Identifier: BSD-3-Clause
 * conf_routes.c - the networks that the user offers to route for others
 *
 * Whoever mistypes a prefix offers a network that is not meant, to people who
 * are not asked again: so what is not quite right is refused, with words.
 * Source: net/netutil/routes.go (CalcAdvertiseRoutes)
 */
#include "core/state/conf_routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/prefix_list.h"
#include "core/base/wire.h"

enum { ERR_CAP = 256, SITE_MAX = 0xffff };

struct reading {
	struct ts_prefix *routes;
	size_t count;
	const char *source;
	char *err; /* ERR_CAP */
};

static int refuse(const struct reading *r, const char *route, const char *why,
		  const char *what)
{
	snprintf(r->err, ERR_CAP, "%.80s: advertise_routes: %.52s %s%.60s",
		 r->source, route, why, what);
	return -EINVAL;
}

static struct ts_prefix masked(const struct ts_prefix *p)
{
	struct ts_prefix out = {.bits = p->bits};
	unsigned whole = p->bits / 8, rest = p->bits % 8;

	memcpy(out.ip.bytes, p->ip.bytes, whole);
	if (rest)
		out.ip.bytes[whole] =
			(uint8_t)(p->ip.bytes[whole] & (0xff00 >> rest));
	return out;
}

static bool is_of_this_host(const struct ts_ip *ip)
{
	return ts_ip_is_loopback(ip) || ts_ip_is_multicast(ip) ||
	       ts_ip_is_link_local(ip);
}

/* fd7a:115c:a1e0:b1a:SITE:IPv4 */
static bool is_via(const struct ts_prefix *p)
{
	return p->bits >= TS_VIA_RANGE.bits &&
	       ts_prefix_contains(&TS_VIA_RANGE, &p->ip);
}

static bool has_valid_site(const struct ts_prefix *p)
{
	struct ts_reader r = ts_reader_init(p->ip.bytes, sizeof(p->ip.bytes));

	ts_read_skip(&r, 8);
	return ts_read_be32(&r) <= SITE_MAX && p->bits >= 96;
}

static int add(struct reading *r, const char *text)
{
	char expected[TS_PREFIX_TEXT_CAP];
	struct ts_prefix p, clean;

	if (ts_prefix_parse(text, &p))
		return refuse(r, text, "is not an IP address or CIDR prefix",
			      "");
	clean = masked(&p);
	if (!ts_prefix_equal(&p, &clean))
		return refuse(r, text, "has bits set behind the prefix: ",
			      ts_prefix_format(&clean, expected));
	if (is_of_this_host(&p.ip))
		return refuse(r, text, "is never routed", "");
	if (is_via(&p) && !has_valid_site(&p))
		return refuse(r, text, "is no 4via6 route: site 0 to 65535, "
			      "and a prefix of 96 to 128 bits", "");
	if (ts_prefix_list_has(r->routes, r->count, &p))
		return refuse(r, text, "is given twice", "");
	if (r->count == TS_CONF_ROUTES_MAX)
		return refuse(r, text, "is one too many", "");
	r->routes[r->count++] = p;
	return 0;
}

static int add_all(struct reading *r, const char *text)
{
	int code = 0;

	while (!code) {
		char one[TS_PREFIX_TEXT_CAP];
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		snprintf(one, sizeof(one), "%.*s", (int)len, text);
		code = len < sizeof(one)
			       ? add(r, one)
			       : refuse(r, one, "is not a CIDR prefix", "");
		text += len;
	}
	return code;
}

static bool has_default(const struct reading *r, bool v6)
{
	for (size_t i = 0; i < r->count; i++)
		if (ts_prefix_is_default(&r->routes[i]) &&
		    ts_ip_is_v4(&r->routes[i].ip) == !v6)
			return true;
	return false;
}

int ts_conf_read_routes(const char *text, struct ts_config *config,
			const char *source, char err[static ERR_CAP])
{
	struct reading r = {.source = source, .err = err};
	int code;

	r.routes = calloc(TS_CONF_ROUTES_MAX + 2, sizeof(*r.routes));
	if (!r.routes)
		return -ENOMEM;
	code = add_all(&r, text);
	if (!code && has_default(&r, false) != has_default(&r, true))
		code = refuse(&r, has_default(&r, true) ? "::/0" : "0.0.0.0/0",
			      "goes with the default route of the other "
			      "version: ",
			      has_default(&r, true) ? "0.0.0.0/0" : "::/0");
	if (code) {
		free(r.routes);
		return code;
	}
	free(config->advertise_routes);
	config->advertise_routes = r.routes;
	config->advertise_route_count = r.count;
	return 0;
}

int ts_conf_add_exit_routes(struct ts_config *config)
{
	static const char *const defaults[] = {"0.0.0.0/0", "::/0"};
	size_t count = config->advertise_route_count;
	struct ts_prefix *routes =
		realloc(config->advertise_routes,
			(count + 2) * sizeof(*config->advertise_routes));

	if (!routes)
		return -ENOMEM;
	config->advertise_routes = routes;
	for (int i = 0; i < 2; i++) {
		struct ts_prefix p;

		if (ts_prefix_parse(defaults[i], &p) == 0 &&
		    !ts_prefix_list_has(routes, count, &p))
			routes[count++] = p;
	}
	config->advertise_route_count = count;
	return 0;
}
