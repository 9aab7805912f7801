/* SPDX-License-Identifier: BSD-3-Clause
 * The table of PROTOCOL 2.2, and the waits of util/backoff.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/control/backoff.h"
#include "core/control/control_targets.h"
#include "core/crypto/secret.h"

static void ports_follow_the_table(void **state)
{
	static const struct {
		const char *url;
		bool force;
		uint16_t http, https; /* 0: none */
	} cases[] = {
		{"https://control.example", false, 80, 443},
		{"https://control.example/", true, 0, 443},
		{"https://control.example:8443", false, 80, 8443},
		{"https://control.example:8443", true, 0, 8443},
		{"http://control.example", false, 80, 443},
		{"http://control.example:8080", false, 8080, 443},
		{"http://control.example:8080", true, 0, 443},
		{"http://10.0.0.1:8080", false, 8080, 0},
		{"http://10.0.0.1:8080", true, 8080, 0},
		{"http://127.0.0.1", false, 80, 0},
		{"http://localhost:9", true, 9, 0},
		{"http://[::1]:8080", false, 8080, 0},
		{"http://[2001:db8::1]", false, 80, 443},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_control_target t[TS_CONTROL_TARGETS_MAX];
		struct ts_control_url url;
		size_t n, at = 0;

		assert_int_equal(ts_control_url_parse(cases[i].url, &url), 0);
		n = ts_control_targets(&url, cases[i].force, t);
		assert_int_equal(n, !!cases[i].http + !!cases[i].https);
		if (cases[i].http) {
			assert_false(t[at].tls);
			assert_int_equal(t[at].delay_ms, 0);
			assert_int_equal(t[at++].port, cases[i].http);
		}
		if (cases[i].https) {
			assert_true(t[at].tls);
			assert_int_equal(t[at].delay_ms,
					 cases[i].http ? 500 : 0);
			assert_int_equal(t[at].port, cases[i].https);
		}
	}
}

static void urls_are_taken_apart(void **state)
{
	struct ts_control_url url;

	(void)state;
	assert_int_equal(
		ts_control_url_parse("HTTPS://[fd7a::1]:8443/base/x//", &url),
		0);
	assert_string_equal(url.host, "fd7a::1");
	assert_string_equal(url.authority, "[fd7a::1]:8443");
	assert_string_equal(url.path, "/base/x");
	assert_string_equal(url.base, "HTTPS://[fd7a::1]:8443/base/x");
	assert_int_equal(ts_control_url_parse("http://h", &url), 0);
	assert_string_equal(url.path, "");
	assert_int_equal(url.port, 0);
}

static void bad_urls_are_refused(void **state)
{
	static const char *const bad[] = {
		"",		"x",		     "ftp://h",
		"http://",	"https:///x",	     "http://h:0",
		"http://h:65536", "http://h:x",	     "http://h:",
		"http://[::1",	"http://[::1]x",     "http://a b",
		"http://a\r\nb", "http://user@h",    "http://[]:1",
	};
	struct ts_control_url url;
	char long_url[1024] = "http://";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ts_control_url_parse(bad[i], &url), -EBADMSG);
	memset(long_url + 7, 'a', 1000);
	assert_int_equal(ts_control_url_parse(long_url, &url), -EMSGSIZE);
}

static void waits_grow_quadratically_to_the_cap(void **state)
{
	struct ts_backoff b = {0};

	(void)state;
	for (unsigned n = 1; n < 2000; n++) {
		uint64_t wait = ts_backoff_next_ms(&b), base = 10ull * n * n;

		base = base > 30000 ? 30000 : base;
		assert_in_range(wait, base / 2, base + base / 2);
	}
	ts_backoff_reset(&b);
	assert_in_range(ts_backoff_next_ms(&b), 5, 15);
}

static void retry_after_is_bounded(void **state)
{
	static const char *const odd[] = {
		"", "0", "-1", "3601", "soon", "99999999999999999999",
		"Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023"};

	(void)state;
	assert_int_equal(ts_retry_after_ms("17", 0), 17000);
	assert_int_equal(ts_retry_after_ms("Tue, 14 Nov 2023 22:13:50 GMT",
					   1700000000),
			 30000);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		assert_in_range(ts_retry_after_ms(odd[i], 1700000000), 5000,
				10000);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_follow_the_table),
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(bad_urls_are_refused),
		cmocka_unit_test(waits_grow_quadratically_to_the_cap),
		cmocka_unit_test(retry_after_is_bounded),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
