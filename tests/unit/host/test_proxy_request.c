/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/host/proxy_request.h"

struct dialogue {
	struct ts_proxy_parser p;
	size_t steps; /* answers before the end */
	enum ts_proxy_step end;
	const uint8_t *rest;
	size_t rest_len;
};

static struct dialogue talk(const void *bytes, size_t len)
{
	struct dialogue d = {.p = {.user = "user", .password = "secret"},
			     .end = PROXY_SAY, .rest = bytes, .rest_len = len};
	size_t used;

	while (d.end == PROXY_SAY) {
		d.end = ts_proxy_parse(&d.p, d.rest, d.rest_len, &used);
		assert_true(used <= d.rest_len);
		d.rest += used;
		d.rest_len -= used;
		d.steps += d.end == PROXY_SAY;
	}
	return d;
}

static const uint8_t SOCKS[] = "\x05\x02\x00\x02"
			       "\x01\x04user\x06secret"
			       "\x05\x01\x00\x03\x03web\x1f\x40rest";

static void test_socks_by_name(void **state)
{
	struct dialogue d = talk(SOCKS, sizeof(SOCKS) - 1);

	(void)state;
	assert_int_equal(d.end, PROXY_CALL);
	assert_int_equal(d.steps, 2);
	assert_string_equal(d.p.host, "web");
	assert_int_equal(d.p.port, 8000);
	assert_int_equal(d.rest_len, 4);
	ts_proxy_answer(&d.p, 0);
	assert_memory_equal(d.p.answer, "\x05\x00\x00\x01", 4);
	ts_proxy_answer(&d.p, -ECONNREFUSED);
	assert_int_equal(d.p.answer[1], 5);
	ts_proxy_answer(&d.p, -ENOENT);
	assert_int_equal(d.p.answer[1], 4);
}

static void test_socks_cut_at_each_length(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(SOCKS) - 1 - 4; len++) {
		struct dialogue d = talk(SOCKS, len);

		assert_int_equal(d.end, PROXY_MORE);
	}
}

static void test_socks_by_address(void **state)
{
	static const uint8_t v4[] = "\x05\x01\x02\x01\x04user\x06secret"
				    "\x05\x01\x00\x01\x64\x40\x00\x07\x00\x50";
	static const uint8_t v6[] = "\x05\x01\x02\x01\x04user\x06secret"
				    "\x05\x01\x00\x04"
				    "\xfd\x7a\x11\x5c\xa1\xe0\0\0\0\0\0\0"
				    "\0\0\0\x07\x00\x50";
	struct dialogue d = talk(v4, sizeof(v4) - 1);

	(void)state;
	assert_int_equal(d.end, PROXY_CALL);
	assert_string_equal(d.p.host, "100.64.0.7");
	d = talk(v6, sizeof(v6) - 1);
	assert_int_equal(d.end, PROXY_CALL);
	assert_string_equal(d.p.host, "fd7a:115c:a1e0::7");
	assert_int_equal(d.p.port, 80);
}

static void test_socks_refusals(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		uint8_t answer[2];
	} cases[] = {
		{"\x05\x01\x00", 3, {5, 0xff}}, /* no password offered */
		{"\x05\x01\x02\x01\x04user\x06secreT", 16, {1, 1}},
		{"\x05\x01\x02\x01\x04usex\x06secret", 16, {1, 1}},
		{"\x05\x01\x02\x01\x00\x00", 6, {1, 1}},
		{"\x05\x01\x02\x01\x04user\x06secret\x05\x02\x00\x01", 20,
		 {5, 7}},
		{"\x05\x01\x02\x01\x04user\x06secret\x05\x01\x00\x05", 20,
		 {5, 8}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dialogue d = talk(cases[i].bytes, cases[i].len);

		assert_int_equal(d.end, PROXY_FAIL);
		assert_memory_equal(d.p.answer, cases[i].answer, 2);
	}
}

/* user:secret */
#define AUTH "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"

static struct dialogue http(const char *text)
{
	return talk(text, strlen(text));
}

static void test_http_connect(void **state)
{
	struct dialogue d = http("CONNECT web.lab.ts.net:443 HTTP/1.1\r\n" AUTH
				 "\r\nrest");

	(void)state;
	assert_int_equal(d.end, PROXY_CALL);
	assert_int_equal(d.p.kind, PROXY_HTTP_CONNECT);
	assert_string_equal(d.p.host, "web.lab.ts.net");
	assert_int_equal(d.p.port, 443);
	assert_int_equal(d.rest_len, 4);
	d = http("CONNECT [fd7a::1]:22 HTTP/1.1\r\n" AUTH "\r\n");
	assert_string_equal(d.p.host, "fd7a::1");
	assert_int_equal(d.p.port, 22);
}

static void test_http_refusals(void **state)
{
	static const struct {
		const char *text, *status;
	} cases[] = {
		{"CONNECT web:1 HTTP/1.1\r\n\r\n", "407"},
		{"CONNECT web:1 HTTP/1.1\r\n"
		 "Proxy-Authorization: Basic dXNlcjpzZWNyZXR4\r\n\r\n", "407"},
		{"CONNECT web:1 HTTP/1.1\r\n"
		 "Proxy-Authorization: Basic ====\r\n\r\n", "407"},
		{"CONNECT web HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT web:0 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT web:65536 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT web:99999999999999999999 HTTP/1.1\r\n" AUTH "\r\n",
		 "400"},
		{"CONNECT :1 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT [::1:1 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"GET / HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"GET http://u:p@web/ HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"GET https://web/ HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"\x04\x01\r\n\r\n", "400"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dialogue d = http(cases[i].text);

		if (d.end != PROXY_FAIL)
			fail_msg("%s is not refused", cases[i].text);
		assert_memory_equal(d.p.answer + 9, cases[i].status, 3);
	}
}

static void check_forward(const char *text, const char *host, uint16_t port,
			  const char *expected)
{
	struct dialogue d = http(text);
	char out[1024];
	size_t used;
	int len;

	assert_int_equal(d.end, PROXY_CALL);
	assert_int_equal(d.p.kind, PROXY_HTTP_FORWARD);
	assert_string_equal(d.p.host, host);
	assert_int_equal(d.p.port, port);
	len = ts_proxy_forward(d.rest, d.rest_len, (uint8_t *)out,
			       sizeof(out) - 1, &used);
	assert_true(len > 0);
	out[len] = '\0';
	assert_string_equal(out, expected);
	assert_int_equal(d.rest_len - used, 4);
	assert_int_equal(ts_proxy_forward(d.rest, d.rest_len, (uint8_t *)out,
					  (size_t)len - 1, &used), -ENOBUFS);
}

static void test_http_forward(void **state)
{
	(void)state;
	check_forward("POST http://web:8080/a?b HTTP/1.1\r\nHost: web:8080\r\n"
		      "Proxy-Connection: keep-alive\r\n" AUTH
		      "Content-Length: 4\r\nConnection: keep-alive\r\n\r\nbody",
		      "web", 8080,
		      "POST /a?b HTTP/1.1\r\nHost: web:8080\r\n"
		      "Content-Length: 4\r\nConnection: close\r\n\r\n");
	check_forward("GET http://web HTTP/1.1\r\n" AUTH "\r\nbody", "web", 80,
		      "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
	check_forward("GET http://web?q HTTP/1.1\r\n" AUTH "\r\nbody", "web",
		      80, "GET /?q HTTP/1.1\r\nConnection: close\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socks_by_name),
		cmocka_unit_test(test_socks_cut_at_each_length),
		cmocka_unit_test(test_socks_by_address),
		cmocka_unit_test(test_socks_refusals),
		cmocka_unit_test(test_http_connect),
		cmocka_unit_test(test_http_refusals),
		cmocka_unit_test(test_http_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
