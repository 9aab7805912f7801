/* SPDX-License-Identifier: BSD-3-Clause
 * test_dns_routes.c - who is asked for which name
 */
#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/dns/dns_routes.h"
#include "core/dns/dns_wire.h"

/* Routes of a DNSConfig; accepted, without an exit node. */
static struct ts_dns_routes *make(const char *json)
{
	struct ts_dns_config config = {.raw = json_loads(json, 0, NULL)};
	const struct ts_dns_routes_input in = {.config = &config,
					       .accepts = true};
	struct ts_dns_routes *routes;

	assert_non_null(config.raw);
	routes = ts_dns_routes_new(&in);
	json_decref(config.raw);
	assert_non_null(routes);
	return routes;
}

/* The first resolver's text, or "" for the system's. */
static const char *first(const struct ts_dns_routes *routes, const char *name)
{
	const struct ts_dns_resolvers *r =
		ts_dns_routes_find_text(routes, name);

	return !r ? "" : r->count ? r->list[0].text : "nobody";
}

static void the_longest_suffix_wins(void **state)
{
	struct ts_dns_routes *routes = make(
		"{\"Routes\":{"
		"\"corp.example\":[{\"Addr\":\"10.0.0.1\"}],"
		"\"a.corp.example.\":[{\"Addr\":\"10.0.0.2:5353\"}],"
		"\"B.A.Corp.Example\":[{\"Addr\":\"fd00::1\"}],"
		"\"local\":[],"
		"\"..bad\":[{\"Addr\":\"10.0.0.9\"}],"
		"\"nobody.example\":[{\"Addr\":\"\"},{},7]}}");

	(void)state;
	assert_string_equal(first(routes, "corp.example"), "10.0.0.1");
	assert_string_equal(first(routes, "x.corp.example"), "10.0.0.1");
	assert_string_equal(first(routes, "xcorp.example"), "");
	assert_string_equal(first(routes, "a.corp.example"), "10.0.0.2:5353");
	assert_string_equal(first(routes, "X.A.CORP.example."),
			    "10.0.0.2:5353");
	assert_string_equal(first(routes, "x.b.a.corp.example"), "fd00::1");
	assert_string_equal(first(routes, "example"), "");
	assert_string_equal(first(routes, "other.example"), "");
	assert_string_equal(first(routes, "nobody.example"), "nobody");
	assert_string_equal(first(routes, "printer.local"), "");
	assert_int_equal(ts_dns_routes_find_text(routes, "a.corp.example")
				 ->list[0].addr.port, 5353);
	assert_int_equal(ts_dns_routes_find_text(routes, "corp.example")
				 ->list[0].addr.port, 53);
	ts_dns_routes_free(routes);
}

static void the_rest_has_a_default(void **state)
{
	struct ts_dns_routes *routes = make(
		"{\"Resolvers\":[{\"Addr\":\"10.1.0.1\"}],"
		"\"FallbackResolvers\":[{\"Addr\":\"10.9.0.1\"}],"
		"\"Routes\":{\"corp.example\":[{\"Addr\":\"10.0.0.1\"}],"
		"\"local\":[{\"Addr\":\"10.0.0.3\"}]}}");
	static const uint8_t label[] = "\4host", local[] = "\1x\5local";

	(void)state;
	assert_string_equal(first(routes, "example.com"), "10.1.0.1");
	assert_string_equal(first(routes, "x.corp.example"), "10.0.0.1");
	/* containers find each other by such a name */
	assert_string_equal(first(routes, "host"), "");
	assert_null(ts_dns_routes_find(routes, label, sizeof(label)));
	assert_string_equal(first(routes, "x.local"), "10.0.0.3");
	ts_dns_routes_free(routes);
	routes = make("{\"Resolvers\":[{\"Addr\":\"10.1.0.1\"}]}");
	assert_string_equal(first(routes, "x.local"), ""); /* RFC 6762 */
	assert_non_null(ts_dns_routes_find(routes, local, sizeof(local)));
	ts_dns_routes_free(routes);
}

/* A dot inside a label is none between two; cut and overlong names are found
 * nowhere. */
static void names_as_they_come(void **state)
{
	static const uint8_t inside[] = "\6x.corp\7example";
	static const uint8_t below[] = "\3a b\4CORP\7example";
	struct ts_dns_routes *routes = make(
		"{\"Routes\":{\"corp.example\":[{\"Addr\":\"10.0.0.1\"}]}}");
	uint8_t longest[300];

	(void)state;
	assert_null(ts_dns_routes_find(routes, inside, sizeof(inside)));
	assert_non_null(ts_dns_routes_find(routes, below, sizeof(below)));
	for (size_t cut = 0; cut < sizeof(below); cut++)
		assert_null(ts_dns_routes_find(routes, below, cut));
	memset(longest, 1, sizeof(longest));
	assert_null(ts_dns_routes_find(routes, longest, sizeof(longest)));
	memset(longest, 0xff, sizeof(longest));
	assert_null(ts_dns_routes_find(routes, longest, sizeof(longest)));
	ts_dns_routes_free(routes);
}

static void public_servers_are_asked_by_https_first(void **state)
{
	struct ts_dns_routes *routes = make(
		"{\"Resolvers\":[{\"Addr\":\"8.8.8.8\"},"
		"{\"Addr\":\"8.8.4.4\"},{\"Addr\":\"10.1.0.1\"},"
		"{\"Addr\":\"2001:4860:4860::8888\"}]}");
	const struct ts_dns_resolvers *r =
		ts_dns_routes_find_text(routes, "example.com");

	(void)state;
	assert_false(r->in_turn);
	assert_int_equal(r->count, 5);
	assert_int_equal(r->list[0].kind, TS_DNS_HTTPS);
	assert_string_equal(r->list[0].text, "https://dns.google/dns-query");
	assert_int_equal(r->list[0].ip_count, 4);
	assert_int_equal(r->list[0].delay_ms, 0);
	assert_int_equal(r->list[1].delay_ms, 500);
	assert_int_equal(r->list[2].delay_ms, 700); /* the second of IPv4 */
	assert_string_equal(r->list[3].text, "10.1.0.1");
	assert_int_equal(r->list[3].delay_ms, 0);
	assert_int_equal(r->list[4].delay_ms, 500); /* the first of IPv6 */
	ts_dns_routes_free(routes);
}

static void kinds_of_resolvers(void **state)
{
	struct ts_dns_routes *routes = make(
		"{\"Resolvers\":["
		"{\"Addr\":\"https://dns.nextdns.io/c3a884/laptop\"},"
		"{\"Addr\":\"https://own.example/q\",\"BootstrapResolution\":"
		"[\"192.0.2.1\",\"x\",7,\"2001:db8::1\"]},"
		"{\"Addr\":\"https://other.example/q\"},"
		"{\"Addr\":\"http://100.64.0.9:4711/dns-query\"},"
		"{\"Addr\":\"http://example/dns-query\"},"
		"{\"Addr\":\"tls://dns.example\"},"
		"{\"Addr\":\"10.0.0.1:0\"},"
		"{\"Addr\":\"2a07:a8c0::c3:a884\"}]}");
	const struct ts_dns_resolvers *r =
		ts_dns_routes_find_text(routes, "example.com");
	static const enum ts_dns_upstream_kind kinds[] = {
		TS_DNS_HTTPS, /* by the last one's address */
		TS_DNS_HTTPS, TS_DNS_HTTPS, TS_DNS_HTTPS, TS_DNS_PEER_HTTP,
		TS_DNS_UNKNOWN, TS_DNS_UNKNOWN, TS_DNS_UNKNOWN};

	(void)state;
	assert_int_equal(r->count, 8);
	for (size_t i = 0; i < r->count; i++)
		assert_int_equal(r->list[i].kind, kinds[i]);
	assert_string_equal(r->list[0].text, "https://dns.nextdns.io/c3a884");
	assert_int_equal(r->list[1].ip_count, 4);
	assert_int_equal(r->list[2].ip_count, 2);
	assert_int_equal(r->list[3].ip_count, 0);
	assert_int_equal(r->list[4].addr.port, 4711);
	ts_dns_routes_free(routes);
}

static void no_more_than_fit(void **state)
{
	json_t *list = json_array(), *config;
	struct ts_dns_routes *routes;
	char *text;

	(void)state;
	for (int i = 0; i < 100; i++)
		json_array_append_new(list,
				      json_pack("{s:s}", "Addr", "10.0.0.1"));
	config = json_pack("{s:o}", "Resolvers", list);
	text = json_dumps(config, 0);
	routes = make(text);
	assert_int_equal(ts_dns_routes_find_text(routes, "a.b")->count,
			 TS_DNS_UPSTREAMS_MAX);
	ts_dns_routes_free(routes);
	json_decref(config);
	free(text);
}

static void exit_nodes(void **state)
{
	static const char json[] =
		"{\"Resolvers\":[{\"Addr\":\"10.1.0.1\"}],"
		"\"Routes\":{"
		"\"kept.example\":[{\"Addr\":\"10.0.0.1\"},"
		"{\"Addr\":\"10.0.0.2\",\"UseWithExitNode\":true}],"
		"\"lost.example\":[{\"Addr\":\"10.0.0.3\"}]}}";
	static const char url[] = "http://100.64.0.9:4711/dns-query";
	struct ts_dns_config config = {.raw = json_loads(json, 0, NULL)};
	struct ts_dns_routes_input in = {.config = &config, .accepts = true,
					 .has_exit_node = true,
					 .exit_node_doh = url};
	json_t *own;
	struct ts_dns_routes *routes = ts_dns_routes_new(&in);

	(void)state;
	assert_string_equal(first(routes, "example.com"), url);
	assert_string_equal(first(routes, "x.lost.example"), url);
	assert_string_equal(first(routes, "x.kept.example"), "10.0.0.2");
	ts_dns_routes_free(routes);
	in.accepts = false;
	routes = ts_dns_routes_new(&in);
	assert_true(ts_dns_routes_are_empty(routes));
	assert_string_equal(first(routes, "example.com"), "");
	ts_dns_routes_free(routes);
	json_decref(config.raw);
	/* one that answers no names */
	config.raw = json_loads("{\"FallbackResolvers\":"
				"[{\"Addr\":\"10.9.0.1\"}]}", 0, NULL);
	in.accepts = true;
	in.exit_node_doh = NULL;
	routes = ts_dns_routes_new(&in);
	assert_string_equal(first(routes, "example.com"), "10.9.0.1");
	ts_dns_routes_free(routes);
	/* its provider's come before these, and after the tailnet's */
	own = json_loads("[{\"Addr\":\"100.64.0.7\"}]", 0, NULL);
	in.exit_node_resolvers = own;
	routes = ts_dns_routes_new(&in);
	assert_string_equal(first(routes, "example.com"), "100.64.0.7");
	ts_dns_routes_free(routes);
	json_object_set_new(config.raw, "Resolvers",
			    json_pack("[{s:s}]", "Addr", "10.1.0.1"));
	routes = ts_dns_routes_new(&in);
	assert_string_equal(first(routes, "example.com"), "10.1.0.1");
	ts_dns_routes_free(routes);
	json_object_del(config.raw, "Resolvers");
	json_decref(own);
	in.exit_node_resolvers = NULL;
	in.has_exit_node = false;
	routes = ts_dns_routes_new(&in);
	assert_true(ts_dns_routes_are_empty(routes));
	ts_dns_routes_free(routes);
	json_decref(config.raw);
	in.config = NULL;
	routes = ts_dns_routes_new(&in);
	assert_true(ts_dns_routes_are_empty(routes));
	ts_dns_routes_free(routes);
}

/* Every known address is the way to a URL that leads back to it. */
static void known_providers(void **state)
{
	static const struct {
		const char *ip, *url;
		bool only;
	} cases[] = {
		{"1.1.1.1", "https://cloudflare-dns.com/dns-query", false},
		{"2606:4700:4700::1003",
		 "https://family.cloudflare-dns.com/dns-query", false},
		{"149.112.112.10", "https://dns10.quad9.net/dns-query", false},
		{"2a07:e340::9", "https://all.dns.mullvad.net/dns-query",
		 false},
		{"76.76.10.4", "https://freedns.controld.com/family", false},
		{"2606:1a40::", "https://freedns.controld.com/p0", false},
		{"2a07:a8c0::c3:a884", "https://dns.nextdns.io/c3a884", true},
		{"2a07:a8c1::12:3456:789a:bcde",
		 "https://dns.nextdns.io/123456789abcde", true},
	};
	char url[TS_DOH_URL_CAP];
	struct ts_ip ips[TS_DOH_IPS_MAX], ip;
	bool only;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_back = false;
		size_t n;

		assert_int_equal(ts_ip_parse(cases[i].ip, &ip), 0);
		assert_true(ts_public_dns_url(&ip, url, &only));
		assert_string_equal(url, cases[i].url);
		assert_int_equal(only, cases[i].only);
		n = ts_public_dns_ips(url, ips);
		for (size_t j = 0; j < n; j++)
			is_back |= ts_ip_equal(&ips[j], &ip);
		assert_true(is_back);
	}
	assert_int_equal(ts_ip_parse("10.0.0.1", &ip), 0);
	assert_false(ts_public_dns_url(&ip, url, &only));
	assert_int_equal(ts_public_dns_ips("https://dns.controld.com/abc",
					   ips), 4);
	assert_int_equal(ts_public_dns_ips("https://dns.nextdns.io/xyz", ips),
			 0);
	assert_int_equal(ts_public_dns_ips("https://dns.nextdns.io/", ips), 0);
	assert_int_equal(ts_public_dns_ips("https://example/q", ips), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_suffix_wins),
		cmocka_unit_test(the_rest_has_a_default),
		cmocka_unit_test(names_as_they_come),
		cmocka_unit_test(public_servers_are_asked_by_https_first),
		cmocka_unit_test(kinds_of_resolvers),
		cmocka_unit_test(no_more_than_fit),
		cmocka_unit_test(exit_nodes),
		cmocka_unit_test(known_providers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
