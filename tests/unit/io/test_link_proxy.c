/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/link_proxy.h"

static char *strings[8];

static char **env_of(const char *a, const char *b)
{
	strings[0] = (char *)(uintptr_t)a;
	strings[1] = (char *)(uintptr_t)b;
	strings[2] = NULL;
	return strings;
}

static int choose(char **env, const char *host, bool is_tls,
		  struct ts_proxy *out)
{
	char err[128] = "";

	return ts_proxy_choose(env, host, 443, is_tls, out, err);
}

static void each_scheme_has_its_variable(void **state)
{
	char **env = env_of("HTTPS_PROXY=http://s:1", "http_proxy=p:2");
	struct ts_proxy proxy;

	(void)state;
	assert_int_equal(choose(env, "h.test", true, &proxy), 1);
	assert_string_equal(proxy.host, "s");
	assert_int_equal(proxy.port, 1);
	assert_int_equal(choose(env, "h.test", false, &proxy), 1);
	assert_string_equal(proxy.host, "p");
	assert_int_equal(proxy.port, 2);
	env = env_of("all_proxy=http://[fd00::1]:3128/", NULL);
	assert_int_equal(choose(env, "h.test", true, &proxy), 1);
	assert_string_equal(proxy.host, "fd00::1");
	assert_int_equal(proxy.port, 3128);
	assert_int_equal(choose(env_of(NULL, NULL), "h", true, &proxy), 0);
	assert_int_equal(choose(env_of("HTTPS_PROXY=", NULL), "h", true,
				&proxy), 0);
}

static void a_cgi_program_does_not_trust_http_proxy(void **state)
{
	char **env = env_of("HTTP_PROXY=evil:1", "REQUEST_METHOD=GET");
	struct ts_proxy proxy;

	(void)state;
	assert_int_equal(choose(env, "h.test", false, &proxy), 0);
}

static void this_machine_is_never_reached_by_proxy(void **state)
{
	char **env = env_of("ALL_PROXY=p:1", NULL);
	struct ts_proxy proxy;

	(void)state;
	assert_int_equal(choose(env, "localhost", true, &proxy), 0);
	assert_int_equal(choose(env, "127.9.9.9", true, &proxy), 0);
	assert_int_equal(choose(env, "::1", true, &proxy), 0);
	assert_int_equal(choose(env, "10.0.0.1", true, &proxy), 1);
}

static void no_proxy_matches_as_in_go(void **state)
{
	static const struct {
		const char *no_proxy, *host;
		int chosen;
	} rows[] = {
		{"NO_PROXY=*", "h.test", 0},
		{"NO_PROXY=h.test", "h.test", 0},
		{"NO_PROXY=H.TEST", "h.test", 0},
		{"NO_PROXY=h.test", "a.h.test", 0},
		{"NO_PROXY=h.test", "ah.test", 1},
		{"NO_PROXY=.h.test", "h.test", 1},
		{"NO_PROXY=.h.test", "a.h.test", 0},
		{"NO_PROXY=*.h.test", "a.h.test", 0},
		{"NO_PROXY=other, h.test", "h.test", 0},
		{"NO_PROXY=h.test:443", "h.test", 0},
		{"NO_PROXY=h.test:80", "h.test", 1},
		{"NO_PROXY=10.0.0.0/8", "10.1.2.3", 0},
		{"NO_PROXY=10.0.0.0/8", "11.1.2.3", 1},
		{"NO_PROXY=10.1.2.3", "10.1.2.3", 0},
		{"NO_PROXY=[fd00::1]:443", "fd00::1", 0},
		{"NO_PROXY=fd00::/8", "fd00::1", 0},
		{"NO_PROXY=,,", "h.test", 1},
		{"no_proxy=h.test", "h.test", 0},
	};
	struct ts_proxy proxy;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(choose(env_of("HTTPS_PROXY=p:1",
					       rows[i].no_proxy),
					rows[i].host, true, &proxy),
				 rows[i].chosen);
}

static void unusable_proxies_are_refused_without_their_password(void **state)
{
	static const char *const values[] = {
		"HTTPS_PROXY=socks5://user:secret@h:1",
		"HTTPS_PROXY=https://user:secret@h:1",
		"HTTPS_PROXY=http://user:secret@",
		"HTTPS_PROXY=http://",
		"HTTPS_PROXY=http://secret secret:1",
	};
	struct ts_proxy proxy;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char err[128] = "";

		assert_int_equal(ts_proxy_choose(env_of(values[i], NULL), "h",
						 443, true, &proxy, err),
				 -EINVAL);
		assert_int_equal(strncmp(err, "proxy: ", 7), 0);
		assert_null(strstr(err, "secret"));
	}
}

static void the_request_names_the_target_and_the_user(void **state)
{
	struct ts_proxy proxy;
	char *text;

	(void)state;
	assert_int_equal(choose(env_of("HTTPS_PROXY=http://a:b%3Ac@p:1", NULL),
				"h", true, &proxy), 1);
	assert_string_equal(proxy.userinfo, "a:b:c");
	text = ts_proxy_connect_request(&proxy, "fd00::9", 443);
	assert_string_equal(text, "CONNECT [fd00::9]:443 HTTP/1.1\r\n"
				  "Host: [fd00::9]:443\r\n"
				  "Proxy-Authorization: Basic YTpiOmM=\r\n"
				  "\r\n");
	free(text);
	proxy.userinfo[0] = '\0';
	text = ts_proxy_connect_request(&proxy, "h", 1);
	assert_string_equal(text, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
	free(text);
}

static void an_answer_is_read_at_each_length(void **state)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
	static const char no[] = "HTTP/1.1 403 Forbidden\r\n\r\n";
	char err[128];
	size_t len = sizeof(ok) - 1;

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ts_proxy_read_answer(ok, cut, err), -EAGAIN);
	assert_int_equal(ts_proxy_read_answer(ok, len, err), len);
	assert_int_equal(ts_proxy_read_answer(no, sizeof(no) - 1, err),
			 -EPROTO);
	assert_string_equal(err, "proxy: it answers CONNECT with status 403");
	assert_int_equal(ts_proxy_read_answer("SSH-2.0\r\n\r\n", 11, err),
			 -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_scheme_has_its_variable),
		cmocka_unit_test(a_cgi_program_does_not_trust_http_proxy),
		cmocka_unit_test(this_machine_is_never_reached_by_proxy),
		cmocka_unit_test(no_proxy_matches_as_in_go),
		cmocka_unit_test(
			unusable_proxies_are_refused_without_their_password),
		cmocka_unit_test(the_request_names_the_target_and_the_user),
		cmocka_unit_test(an_answer_is_read_at_each_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
