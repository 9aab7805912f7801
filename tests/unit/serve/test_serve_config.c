/* SPDX-License-Identifier: BSD-3-Clause
 * test_serve_config.c - the form of a serve configuration, and its rules
 *
 * Source: ipn/serve.go, ipn/ipnlocal/serve.go
 */
#include "../test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/serve/funnel_rule.h"
#include "core/serve/serve_config.h"
#include "core/serve/vip_services.h"

static json_t *config_of(const char *text)
{
	char err[TS_SERVE_ERROR_CAP];
	json_t *config = NULL;
	int code = ts_serve_parse(text, strlen(text), &config, err);

	if (code)
		print_error("%s: %s\n", text, err);
	assert_int_equal(code, 0);
	return config;
}

static void check_text(const char *in, const char *want)
{
	json_t *config = config_of(in);
	char *text = ts_serve_format(config);

	assert_string_equal(text, want);
	free(text);
	json_decref(config);
}

static void text_is_that_of_upstream(void **state)
{
	char etag[TS_GO_HASH_CAP];
	json_t *config;

	(void)state;
	check_text("null", "null");
	check_text("{}", "{}");
	check_text(" {\"Web\":{},\"TCP\":{},\"X\":1} ", "{}");
	check_text("{\"web\":{\"b:80\":{\"handlers\":{\"/\":{\"text\":"
		   "\"a<b>&\\u2028\"}}},\"a:80\":{}},"
		   "\"TCP\":{\"80\":{\"HTTP\":true,\"HTTPS\":false},"
		   "\"443\":{\"TCPForward\":\"x:1\",\"ProxyProtocol\":0}}}",
		   "{\"TCP\":{\"443\":{\"TCPForward\":\"x:1\"},"
		   "\"80\":{\"HTTP\":true}},"
		   "\"Web\":{\"a:80\":{\"Handlers\":null},\"b:80\":"
		   "{\"Handlers\":{\"/\":{\"Text\":"
		   "\"a\\u003cb\\u003e\\u0026\\u2028\"}}}}}");
	check_text("{\"TCP\":{\"0080\":{}}}", "{\"TCP\":{\"80\":{}}}");
	/* SHA-256 of "null" and "{}" */
	assert_int_equal(ts_serve_etag(NULL, etag), 0);
	assert_string_equal(etag,
		"74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b"
		"90b");
	config = config_of("{}");
	assert_int_equal(ts_serve_etag(config, etag), 0);
	assert_string_equal(etag,
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaf"
		"f8a");
	json_decref(config);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "[]", "1", "{\"TCP\":[]}", "{\"TCP\":{\"x\":{}}}",
		"{\"TCP\":{\"65536\":{}}}", "{\"TCP\":{\"-1\":{}}}",
		"{\"TCP\":{\"80\":null}}", "{\"TCP\":{\"80\":{\"HTTP\":1}}}",
		"{\"TCP\":{\"80\":{\"ProxyProtocol\":3}}}",
		"{\"TCP\":{\"80\":{\"TCPForward\":\"a\\u0000b\"}}}",
		"{\"AllowFunnel\":{\"a:443\":\"yes\"}}",
		"{\"Web\":{\"a:80\":{\"Handlers\":[]}}}",
		"{\"Web\":{\"a:80\":{\"Handlers\":{\"/\":"
		"{\"AcceptAppCaps\":[1]}}}}}",
		"{\"Foreground\":{\"a\":{\"Foreground\":{\"b\":{\"Foreground\":"
		"{\"c\":{\"Foreground\":{\"d\":{\"Foreground\":{\"e\":"
		"{\"Foreground\":{\"f\":{\"Foreground\":{\"g\":"
		"{\"Foreground\":{\"h\":{}}}}}}}}}}}}}}}}}",
	};
	char err[TS_SERVE_ERROR_CAP];
	json_t *config;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		config = (json_t *)"x";
		assert_int_equal(ts_serve_parse(wrong[i], strlen(wrong[i]),
						&config, err), -EBADMSG);
		assert_null(config);
		assert_true(strlen(err) > 0);
	}
}

static void every_cut_is_refused(void **state)
{
	static const char text[] = "{\"TCP\":{\"80\":{\"HTTP\":true}},\"Web\":"
		"{\"a:80\":{\"Handlers\":{\"/\":{\"Path\":\"/tmp\"}}}}}";
	char err[TS_SERVE_ERROR_CAP];
	json_t *config;

	(void)state;
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++)
		assert_int_equal(ts_serve_parse(text, cut, &config, err),
				 -EBADMSG);
}

static void foreground_comes_first(void **state)
{
	json_t *config = config_of(
		"{\"TCP\":{\"80\":{\"HTTP\":true},\"81\":{\"HTTP\":true}},"
		"\"Web\":{\"h:80\":{\"Handlers\":{\"/\":{\"Text\":\"back\"}}}},"
		"\"Foreground\":{\"s1\":{\"TCP\":{\"80\":{\"TCPForward\":"
		"\"unix:/s\"}},\"Web\":{\"h:80\":{\"Handlers\":{\"/\":"
		"{\"Text\":\"fore\"}}}}}}}");
	struct ts_serve_tcp tcp;
	json_t *rest;

	(void)state;
	assert_true(ts_serve_find_tcp(config, NULL, 80, &tcp));
	assert_string_equal(tcp.forward, "unix:/s");
	assert_false(tcp.http);
	assert_true(ts_serve_find_tcp(config, NULL, 81, &tcp));
	assert_true(tcp.http);
	assert_null(tcp.forward);
	assert_false(ts_serve_find_tcp(config, NULL, 82, &tcp));
	assert_false(ts_serve_find_tcp(NULL, NULL, 80, &tcp));
	assert_string_equal(json_string_value(json_object_get(json_object_get(
		ts_serve_find_web(config, NULL, "h", 80), "/"), "Text")),
		"fore");
	assert_null(ts_serve_find_web(config, NULL, "other", 80));
	assert_true(ts_serve_needs_admin(config));
	assert_true(ts_serve_has_session(config, "s1"));
	rest = ts_serve_without_session(config, "s1");
	assert_false(ts_serve_has_session(rest, "s1"));
	assert_null(json_object_get(rest, "Foreground"));
	assert_false(ts_serve_needs_admin(rest));
	assert_string_equal(json_string_value(json_object_get(json_object_get(
		ts_serve_find_web(rest, NULL, "h", 80), "/"), "Text")),
		"back");
	json_decref(rest);
	json_decref(config);
}

static void services_have_handlers_of_their_own(void **state)
{
	json_t *config = config_of(
		"{\"TCP\":{\"80\":{\"HTTP\":true}},\"Services\":{\"svc:a\":"
		"{\"TCP\":{\"443\":{\"HTTPS\":true}},\"Web\":{\"a.x.ts.net:443\":"
		"{\"Handlers\":{\"/\":{\"Proxy\":\"unix:/a\"}}}}}}}");
	struct ts_serve_tcp tcp;

	(void)state;
	assert_true(ts_serve_find_tcp(config, "svc:a", 443, &tcp));
	assert_true(tcp.https);
	assert_false(ts_serve_find_tcp(config, "svc:a", 80, &tcp));
	assert_false(ts_serve_find_tcp(config, "svc:b", 443, &tcp));
	assert_false(ts_serve_find_tcp(config, NULL, 443, &tcp));
	assert_non_null(ts_serve_find_web(config, "svc:a", "a.x.ts.net", 443));
	assert_null(ts_serve_find_web(config, NULL, "a.x.ts.net", 443));
	assert_true(ts_serve_needs_admin(config));
	json_decref(config);
}

static void check_follow(const char *now, const char *next, const char *why)
{
	json_t *a = config_of(now), *b = config_of(next);
	char err[TS_SERVE_ERROR_CAP] = "";

	assert_int_equal(ts_serve_may_follow(a, b, err), !why);
	assert_string_equal(err, why ? why : "");
	json_decref(a);
	json_decref(b);
}

static void what_may_follow_is_as_upstream_says(void **state)
{
	(void)state;
	check_follow("null", "{\"TCP\":{\"80\":{\"HTTP\":true}}}", NULL);
	check_follow("{\"TCP\":{\"80\":{\"HTTP\":true}}}", "null", NULL);
	check_follow("{\"TCP\":{\"80\":{\"HTTP\":true}}}",
		     "{\"TCP\":{\"80\":{\"TCPForward\":\"x:1\"}}}",
		     "want to serve \"tcp\", but port 80 is already serving "
		     "\"http\"");
	check_follow("{\"TCP\":{\"80\":{\"HTTP\":true}}}",
		     "{\"Foreground\":{\"s\":{\"TCP\":{\"80\":{\"HTTP\":true}}}"
		     "}}", "listener already exists for port 80");
	check_follow("{\"Foreground\":{\"s\":{\"TCP\":{\"80\":{\"HTTP\":true}}}"
		     "}}", "{\"TCP\":{\"80\":{\"HTTP\":true}}}",
		     "foreground listener already exists for port 80");
	check_follow("{\"Foreground\":{\"s\":{\"TCP\":{\"80\":{\"HTTP\":true}}}"
		     "}}", "{\"Foreground\":{\"s\":{\"TCP\":{\"80\":{\"HTTP\":"
		     "true}}}}}", NULL);
	check_follow("null", "{\"Services\":{\"svc:a\":{\"Tun\":true,\"TCP\":"
		     "{\"80\":{\"HTTP\":true}}}}}",
		     "cannot configure TUN mode in combination with TCP or web "
		     "handlers for svc:a");
	check_follow("{\"Services\":{\"svc:a\":{\"Tun\":true}}}",
		     "{\"Services\":{\"svc:a\":{\"TCP\":{\"80\":{}}}}}",
		     "cannot add TCP or web handlers as TUN mode is enabled "
		     "for svc:a");
	check_follow("{\"Services\":{\"svc:a\":{\"TCP\":{\"80\":{\"HTTPS\":"
		     "true}}}}}", "{\"Services\":{\"svc:a\":{\"TCP\":{\"80\":"
		     "{\"TCPForward\":\"x:1\",\"TerminateTLS\":\"a\"}}}}}",
		     "want to serve \"tls-terminated-tcp\", but port 80 is "
		     "already serving \"https\" for svc:a");
}

/* -- funnel --------------------------------------------------------------- */

static void funnel_needs_three_capabilities(void **state)
{
	static const struct {
		const char *caps;
		uint16_t port;
		const char *why;
	} cases[] = {
		{"{}", 443, "Funnel not available; HTTPS must be enabled. See "
			    "https://tailscale.com/s/https."},
		{"{\"https\":null}", 443, "Funnel not available; \"funnel\" "
		 "node attribute not set. See https://tailscale.com/s/no-"
		 "funnel."},
		{"{\"https\":null,\"funnel\":null}", 443,
		 "port 443 is not allowed for funnel"},
		{"{\"https\":null,\"funnel\":null,\"https://tailscale.com/cap/"
		 "funnel-ports?ports=443,8443,10000-10010\":null}", 80,
		 "port 80 is not allowed for funnel; allowed ports are: "
		 "443,8443,10000-10010"},
		{"{\"https\":null,\"funnel\":null,\"https://tailscale.com/cap/"
		 "funnel-ports?ports=443,10000-10010\":null}", 10005, NULL},
		{"{\"https\":null,\"funnel\":null,\"https://tailscale.com/cap/"
		 "funnel-ports?ports=443%2C8443\":null}", 8443, NULL},
		{"{\"https\":null,\"funnel\":null,\"https://tailscale.com/cap/"
		 "funnel-portsx?ports=443\":null}", 443,
		 "port 443 is not allowed for funnel"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *caps = json_loads(cases[i].caps, 0, NULL);
		char err[TS_SERVE_ERROR_CAP] = "";

		assert_int_equal(ts_funnel_check(caps, cases[i].port, err),
				 cases[i].why ? -EPERM : 0);
		assert_string_equal(err, cases[i].why ? cases[i].why : "");
		json_decref(caps);
	}
}

static void funnel_is_switched_by_target(void **state)
{
	json_t *on = ts_serve_set_funnel(NULL, "a.b:443", true), *off, *foreground;

	(void)state;
	assert_true(ts_serve_is_funnel_on(on));
	assert_true(ts_serve_lets_funnel(on, "a.b:443"));
	assert_false(ts_serve_lets_funnel(on, "a.b:8443"));
	off = ts_serve_set_funnel(on, "a.b:443", false);
	assert_false(ts_serve_has_funnel(off));
	json_decref(off);
	json_decref(on);
	off = config_of("{\"AllowFunnel\":{\"a:443\":false}}");
	assert_true(ts_serve_has_funnel(off));
	assert_false(ts_serve_is_funnel_on(off));
	json_decref(off);
	foreground = config_of("{\"Foreground\":{\"s\":{\"AllowFunnel\":"
			       "{\"a:443\":true}}}}");
	assert_true(ts_serve_lets_funnel(foreground, "a:443"));
	json_decref(foreground);
}

/* -- services ------------------------------------------------------------- */

static void services_are_listed_and_hashed_as_upstream_does(void **state)
{
	json_t *config = config_of(
		"{\"Services\":{\"svc:b\":{\"TCP\":{\"443\":{\"HTTPS\":true},"
		"\"80\":{\"HTTP\":true},\"81\":{\"HTTP\":true}}},"
		"\"svc:t\":{\"Tun\":true}}}");
	json_t *wanted = json_pack("[ss]", "svc:b", "svc:a"), *list;
	char hash[TS_GO_HASH_CAP], *text;

	(void)state;
	list = ts_vip_services(config, wanted);
	text = ts_go_json(list);
	assert_string_equal(text,
		"[{\"Name\":\"svc:a\",\"Ports\":null,\"Active\":true},"
		"{\"Name\":\"svc:b\",\"Ports\":[\"tcp:80-81\",\"tcp:443\"],"
		"\"Active\":true},"
		"{\"Name\":\"svc:t\",\"Ports\":[\"*\"],\"Active\":false}]");
	assert_int_equal(ts_vip_services_hash(list, hash), 0);
	assert_int_equal(strlen(hash), 64);
	free(text);
	json_decref(list);
	list = ts_vip_services(NULL, NULL);
	assert_int_equal(ts_vip_services_hash(list, hash), 0);
	assert_string_equal(hash, "");
	json_decref(list);
	json_decref(wanted);
	json_decref(config);
}

static void addresses_name_services(void **state)
{
	json_t *caps = json_loads("{\"service-host\":[{\"svc:x\":"
				  "[\"100.100.1.2\",\"fd7a::5\"],\"svc:y\":7}]}",
				  0, NULL);
	const json_t *map = ts_vip_mapping(caps);
	struct ts_ip ip;

	(void)state;
	assert_int_equal(ts_ip_parse("fd7a::5", &ip), 0);
	assert_string_equal(ts_vip_name_of(map, &ip), "svc:x");
	assert_int_equal(ts_ip_parse("100.100.1.3", &ip), 0);
	assert_null(ts_vip_name_of(map, &ip));
	assert_null(ts_vip_mapping(NULL));
	assert_null(ts_vip_name_of(NULL, &ip));
	assert_true(ts_vip_name_is_valid("svc:web-1"));
	assert_false(ts_vip_name_is_valid("web"));
	assert_false(ts_vip_name_is_valid("svc:"));
	assert_false(ts_vip_name_is_valid("svc:-a"));
	assert_false(ts_vip_name_is_valid("svc:a.b"));
	json_decref(caps);
}

static void list(void *ctx, const char *name)
{
	char *all = ctx;

	strcat(strcat(all, name), " ");
}

static void names_of_certificates_are_those_behind_tls(void **state)
{
	char all[256] = "";
	json_t *config = config_of(
		"{\"TCP\":{\"443\":{\"HTTPS\":true},\"80\":{\"HTTP\":true},"
		"\"90\":{\"TCPForward\":\"x:1\",\"TerminateTLS\":\"t.x\"},"
		"\"91\":{\"TCPForward\":\"x:1\"}},"
		"\"Web\":{\"w.x:443\":{},\"h.x:80\":{},\"none\":{},"
		"\"n.x:444\":{}},"
		"\"Foreground\":{\"s\":{\"TCP\":{\"444\":{\"HTTPS\":true}},"
		"\"Web\":{\"f.x:444\":{}}}},"
		"\"Services\":{\"svc:a\":{\"TCP\":{\"443\":{\"HTTPS\":true},"
		"\"5\":{\"TCPForward\":\"x:1\",\"TerminateTLS\":\"v.x\"}},"
		"\"Web\":{\"a.x:443\":{}}}}}");

	(void)state;
	ts_serve_tls_names(config, list, all);
	assert_string_equal(all, "w.x t.x f.x a.x v.x ");
	ts_serve_tls_names(NULL, list, all);
	assert_string_equal(all, "w.x t.x f.x a.x v.x ");
	json_decref(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_that_of_upstream),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(foreground_comes_first),
		cmocka_unit_test(services_have_handlers_of_their_own),
		cmocka_unit_test(what_may_follow_is_as_upstream_says),
		cmocka_unit_test(funnel_needs_three_capabilities),
		cmocka_unit_test(funnel_is_switched_by_target),
		cmocka_unit_test(services_are_listed_and_hashed_as_upstream_does),
		cmocka_unit_test(addresses_name_services),
		cmocka_unit_test(names_of_certificates_are_those_behind_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
