/* SPDX-License-Identifier: BSD-3-Clause
 * dns_routes.c - who is asked for a name that the netmap does not have
 * Source: ipn/ipnlocal/node_backend.go (dnsConfigForNetmap),
 * net/dns/resolver/forwarder.go (resolversWithDelays), types/dnstype
 *
 * Suffixes are kept as on the wire and compared label by label, so that a dot
 * inside a label of a query cannot pass for one between two. Those with most
 * labels come first. A suffix without resolvers is no route: names below it are
 * the netmap's alone (magic_dns.c).
 *
 * With an exit node that answers names, only resolvers that the tailnet wants
 * asked nevertheless are left, and it gets the rest. Known public servers are
 * asked by HTTPS first, and by the old way half a second later.
 */
#include "core/dns/dns_routes.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns/dns_wire.h"
#include "core/dns/magic_dns.h"
#include "core/dns/special_names.h"
#include "core/model/json_fields.h"

enum {
	DNS_PORT = 53,
	DOH_HEAD_START_MS = 500,
	SECOND_ADDRESS_MS = 200, /* of one provider and family */
	LABELS_MAX = 128,
};

struct route {
	uint8_t *suffix; /* wire form, lower case, with the root's 0 */
	size_t len, labels;
	struct ts_dns_resolvers *resolvers;
};

struct ts_dns_routes {
	struct route *list;
	size_t count;
	struct ts_dns_resolvers *fallback; /* for all other names; or NULL */
};

/* -- sets of resolvers ---------------------------------------------------- */

struct ts_dns_resolvers *ts_dns_resolvers_new(void)
{
	struct ts_dns_resolvers *r = calloc(1, sizeof(*r));

	if (r)
		r->refs = 1;
	return r;
}

struct ts_dns_resolvers *ts_dns_resolvers_get(struct ts_dns_resolvers *r)
{
	r->refs++;
	return r;
}

void ts_dns_resolvers_put(struct ts_dns_resolvers *r)
{
	if (!r || --r->refs > 0)
		return;
	for (size_t i = 0; i < r->count; i++)
		free(r->list[i].text);
	free(r);
}

/* A new last one; NULL: there are many already, or no memory. */
static struct ts_dns_upstream *add(struct ts_dns_resolvers *r,
				   const char *text, int *err)
{
	struct ts_dns_upstream *up = &r->list[r->count];
	char *copy;

	*err = -ENOSPC;
	if (r->count == TS_DNS_UPSTREAMS_MAX)
		return NULL;
	copy = strdup(text);
	*err = copy ? 0 : -ENOMEM;
	if (!copy)
		return NULL;
	r->count++;
	*up = (struct ts_dns_upstream){.text = copy};
	return up;
}

int ts_dns_resolvers_add(struct ts_dns_resolvers *r,
			 const struct ts_addr *addr, unsigned scope)
{
	char text[TS_IP_TEXT_CAP];
	struct ts_dns_upstream *up;
	int err;

	up = add(r, ts_ip_format(&addr->ip, text), &err);
	if (!up)
		return err;
	up->addr = *addr;
	up->scope = scope;
	return 0;
}

/* -- a list of resolvers -------------------------------------------------- */

static bool parse_plain(const char *text, struct ts_addr *out)
{
	out->port = DNS_PORT;
	return ts_ip_parse(text, &out->ip) == 0 ||
	       (ts_addr_parse(text, out) == 0 && out->port != 0);
}

/* "http://ADDRESS:PORT/dns-query" */
static bool parse_peer_url(const char *url, struct ts_addr *out)
{
	const char *at = url + strlen("http://");
	size_t len = strcspn(at, "/");
	char text[TS_ADDR_TEXT_CAP];

	if (len >= sizeof(text) || at[len] != '/')
		return false;
	memcpy(text, at, len);
	text[len] = '\0';
	return ts_addr_parse(text, out) == 0 && out->port != 0;
}

static bool has_upstream(const struct ts_dns_resolvers *r, const char *text)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->list[i].text, text) == 0)
			return true;
	return false;
}

static int add_https(struct ts_dns_resolvers *r, const char *url,
		     const json_t *bootstrap)
{
	struct ts_dns_upstream *up;
	const json_t *entry;
	size_t i;
	int err;

	if (has_upstream(r, url))
		return 0;
	up = add(r, url, &err);
	if (!up)
		return err;
	up->kind = TS_DNS_HTTPS;
	up->ip_count = ts_public_dns_ips(url, up->ips);
	if (up->ip_count > 0)
		return 0;
	json_array_foreach (bootstrap, i, entry) {
		const char *text = json_string_value(entry);

		if (up->ip_count < TS_DOH_IPS_MAX && text &&
		    ts_ip_parse(text, &up->ips[up->ip_count]) == 0)
			up->ip_count++;
	}
	return 0;
}

/* The HTTPS servers that the list means by their addresses. */
static int add_known(struct ts_dns_resolvers *r, const json_t *list)
{
	char url[TS_DOH_URL_CAP];
	struct ts_addr addr;
	const json_t *entry;
	size_t i;
	int err = 0;
	bool only;

	json_array_foreach (list, i, entry) {
		const char *text = ts_json_text(entry, "Addr");

		if (!err && text && parse_plain(text, &addr) &&
		    ts_public_dns_url(&addr.ip, url, &only))
			err = add_https(r, url, NULL);
	}
	return err;
}

/* Those of one provider and family: the first, then the others. */
static uint32_t delay_of(const struct ts_dns_resolvers *r,
			 const struct ts_addr *addr, const char *url)
{
	uint32_t delay_ms = DOH_HEAD_START_MS;
	char other[TS_DOH_URL_CAP];
	bool only;

	for (size_t i = 0; i < r->count; i++) {
		const struct ts_dns_upstream *up = &r->list[i];

		if (up->kind == TS_DNS_PLAIN &&
		    ts_ip_is_v4(&up->addr.ip) == ts_ip_is_v4(&addr->ip) &&
		    ts_public_dns_url(&up->addr.ip, other, &only) &&
		    strcmp(other, url) == 0)
			return delay_ms + SECOND_ADDRESS_MS;
	}
	return delay_ms;
}

static int add_plain(struct ts_dns_resolvers *r, const char *text,
		     const struct ts_addr *addr)
{
	char url[TS_DOH_URL_CAP];
	bool only, is_known = ts_public_dns_url(&addr->ip, url, &only);
	uint32_t delay_ms = is_known ? delay_of(r, addr, url) : 0;
	struct ts_dns_upstream *up;
	int err;

	if (is_known && only)
		return 0;
	up = add(r, text, &err);
	if (!up)
		return err;
	up->addr = *addr;
	up->delay_ms = delay_ms;
	return 0;
}

static int add_named(struct ts_dns_resolvers *r, const char *text,
		     const json_t *entry)
{
	struct ts_dns_upstream *up;
	struct ts_addr addr;
	int err;

	if (parse_plain(text, &addr))
		return add_plain(r, text, &addr);
	if (strncmp(text, "https://", 8) == 0)
		return add_https(r, text,
				 ts_json_array(entry, "BootstrapResolution"));
	up = add(r, text, &err);
	if (!up)
		return err;
	up->kind = TS_DNS_UNKNOWN;
	if (strncmp(text, "http://", 7) == 0 &&
	    parse_peer_url(text, &up->addr))
		up->kind = TS_DNS_PEER_HTTP;
	return 0;
}

/* What is more than fits is left out: it would be asked last anyway. */
static int add_list(struct ts_dns_resolvers *r, const json_t *list)
{
	const json_t *entry;
	size_t i;
	int err = add_known(r, list);

	json_array_foreach (list, i, entry) {
		const char *text = ts_json_text(entry, "Addr");

		if (!err && text && *text)
			err = add_named(r, text, entry);
	}
	return err == -ENOSPC ? 0 : err;
}

/* -- routes --------------------------------------------------------------- */

static size_t skip_label(const uint8_t *wire, size_t at)
{
	return at + 1 + wire[at];
}

static int init_suffix(struct route *route, const char *name)
{
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	int len = ts_dns_write_query(0, name, DNS_TYPE_A, query,
				     sizeof(query));

	if (len < 0)
		return len;
	route->len = (size_t)len - DNS_HEADER_LEN - 4;
	route->suffix = malloc(route->len);
	if (!route->suffix)
		return -ENOMEM;
	memcpy(route->suffix, query + DNS_HEADER_LEN, route->len);
	for (size_t at = 0; route->suffix[at];
	     at = skip_label(route->suffix, at))
		route->labels++;
	return 0;
}

static int add_route(struct ts_dns_routes *routes, const char *suffix,
		     const json_t *list)
{
	struct route *route = &routes->list[routes->count];
	char name[TS_DNS_NAME_CAP];
	int err;

	if (json_array_size(list) == 0 || !ts_dns_normalize(suffix, name))
		return 0;
	*route = (struct route){.resolvers = ts_dns_resolvers_new()};
	routes->count++;
	if (!route->resolvers)
		return -ENOMEM;
	err = init_suffix(route, name);
	return err ? err : add_list(route->resolvers, list);
}

static int by_labels(const void *a, const void *b)
{
	const struct route *x = a, *y = b;

	return x->labels > y->labels ? -1 : x->labels < y->labels;
}

/* Those that are to be asked in spite of an exit node: a new reference. */
static json_t *flagged(const json_t *list)
{
	json_t *out = json_array();
	json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry)
		if (ts_json_bool(entry, "UseWithExitNode"))
			json_array_append(out, entry);
	return out;
}

static int add_routes(struct ts_dns_routes *routes, const json_t *object,
		      bool only_flagged)
{
	const char *suffix;
	json_t *list;
	int err = 0;

	if (json_object_size(object) == 0)
		return 0;
	routes->list = calloc(json_object_size(object), sizeof(*routes->list));
	if (!routes->list)
		return -ENOMEM;
	json_object_foreach ((json_t *)(uintptr_t)object, suffix, list) {
		json_t *kept = only_flagged ? flagged(list)
					    : json_incref(list);

		if (!err)
			err = add_route(routes, suffix, kept);
		json_decref(kept);
	}
	if (routes->count > 0)
		qsort(routes->list, routes->count, sizeof(*routes->list),
		      by_labels);
	return err;
}

static int set_fallback(struct ts_dns_routes *routes, const json_t *list)
{
	if (json_array_size(list) == 0)
		return 0;
	routes->fallback = ts_dns_resolvers_new();
	return routes->fallback ? add_list(routes->fallback, list) : -ENOMEM;
}

static int use_exit_node(struct ts_dns_routes *routes, const json_t *config,
			 const char *url)
{
	json_t *kept = flagged(ts_json_array(config, "Resolvers"));
	int err;

	if (json_array_size(kept) == 0)
		json_array_append_new(kept, json_pack("{s:s}", "Addr", url));
	err = set_fallback(routes, kept);
	json_decref(kept);
	return err ? err
		   : add_routes(routes, ts_json_object(config, "Routes"), true);
}

static int use_config(struct ts_dns_routes *routes, const json_t *config,
		      const struct ts_dns_routes_input *in)
{
	int err = set_fallback(routes, ts_json_array(config, "Resolvers"));

	if (!err && !routes->fallback)
		err = set_fallback(routes, in->exit_node_resolvers);
	/* Behind an exit node the host's own servers may be out of reach. */
	if (!err && !routes->fallback && in->has_exit_node)
		err = set_fallback(routes,
				   ts_json_array(config, "FallbackResolvers"));
	return err ? err
		   : add_routes(routes, ts_json_object(config, "Routes"),
				false);
}

struct ts_dns_routes *ts_dns_routes_new(const struct ts_dns_routes_input *in)
{
	struct ts_dns_routes *routes = calloc(1, sizeof(*routes));
	const json_t *config = in->config ? in->config->raw : NULL;
	int err = 0;

	if (!routes)
		return NULL;
	if (in->accepts && in->exit_node_doh)
		err = use_exit_node(routes, config, in->exit_node_doh);
	else if (in->accepts)
		err = use_config(routes, config, in);
	if (!err)
		return routes;
	ts_dns_routes_free(routes);
	return NULL;
}

void ts_dns_routes_free(struct ts_dns_routes *routes)
{
	if (!routes)
		return;
	for (size_t i = 0; i < routes->count; i++) {
		free(routes->list[i].suffix);
		ts_dns_resolvers_put(routes->list[i].resolvers);
	}
	ts_dns_resolvers_put(routes->fallback);
	free(routes->list);
	free(routes);
}

bool ts_dns_routes_are_empty(const struct ts_dns_routes *routes)
{
	return !routes || (routes->count == 0 && !routes->fallback);
}

/* -- look-ups ------------------------------------------------------------- */

/* Where the labels of a name begin, the root's too; its length, 0: no name. */
static size_t split(const uint8_t *wire, size_t len,
		    uint8_t starts[static LABELS_MAX], size_t *labels)
{
	size_t at = 0;

	*labels = 0;
	while (at < len && *labels < LABELS_MAX) {
		starts[*labels] = (uint8_t)at;
		if (wire[at] == 0)
			return at + 1;
		if (wire[at] > DNS_LABEL_MAX ||
		    skip_label(wire, at) > DNS_NAME_MAX)
			return 0;
		at = skip_label(wire, at);
		++*labels;
	}
	return 0;
}

static bool is_same(const uint8_t *lower, const uint8_t *any, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (lower[i] != tolower(any[i]))
			return false;
	return true;
}

static struct ts_dns_resolvers *
find_suffix(const struct ts_dns_routes *routes, const uint8_t *wire, size_t len,
	    size_t *labels)
{
	uint8_t starts[LABELS_MAX];
	size_t name_len = split(wire, len, starts, labels);

	for (size_t i = 0; name_len && i < routes->count; i++) {
		const struct route *route = &routes->list[i];
		const uint8_t *tail;

		if (route->labels > *labels)
			continue;
		tail = wire + starts[*labels - route->labels];
		if (name_len - (size_t)(tail - wire) == route->len &&
		    is_same(route->suffix, tail, route->len))
			return route->resolvers;
	}
	return NULL;
}

struct ts_dns_resolvers *ts_dns_routes_find(const struct ts_dns_routes *routes,
					    const uint8_t *wire, size_t len)
{
	struct ts_dns_resolvers *found;
	size_t labels;

	if (ts_dns_routes_are_empty(routes))
		return NULL;
	found = find_suffix(routes, wire, len, &labels);
	return found || labels <= 1 ? found : routes->fallback;
}

struct ts_dns_resolvers *
ts_dns_routes_find_text(const struct ts_dns_routes *routes, const char *name)
{
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	struct ts_dns_resolvers *found;
	char normal[TS_DNS_NAME_CAP];
	int len;

	if (ts_dns_routes_are_empty(routes) ||
	    !ts_dns_normalize(name, normal))
		return NULL;
	len = ts_dns_write_query(0, normal, DNS_TYPE_A, query, sizeof(query));
	if (len < 0)
		return NULL;
	found = ts_dns_routes_find(routes, query + DNS_HEADER_LEN,
				   (size_t)len - DNS_HEADER_LEN);
	return found == routes->fallback && ts_dns_is_under(normal, "local")
		       ? NULL
		       : found;
}

bool ts_dns_routes_are_for_all(const struct ts_dns_routes *routes,
			       const struct ts_dns_resolvers *found)
{
	return found == routes->fallback;
}
